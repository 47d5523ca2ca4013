/** Which requests a rate limit is for: Envoy passes over its filter for all others. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { SkipFilterSchema } from '../../gen/envoy/extensions/filters/common/matcher/action/v3/skip_action_pb.ts';
import { UriSanInputSchema } from '../../gen/envoy/extensions/matching/common_inputs/ssl/v3/ssl_inputs_pb.ts';
import { HttpRequestHeaderMatchInputSchema } from '../../gen/envoy/type/matcher/v3/http_inputs_pb.ts';
import type { Matcher_MatcherList_PredicateSchema, MatcherSchema } from '../../gen/xds/type/matcher/v3/matcher_pb.ts';
import type { StringMatcherSchema } from '../../gen/xds/type/matcher/v3/string_pb.ts';
import type { LimitMatch } from '../../model/rate-limit.ts';
import type { StringMatch } from '../../model/virtual-service.ts';
import { pack } from '../messages.ts';

type Predicate = MessageInitShape<typeof Matcher_MatcherList_PredicateSchema>;
type Comparison = MessageInitShape<typeof StringMatcherSchema>;
type Input = { readonly name: string; readonly typedConfig: ReturnType<typeof pack> };

/** The SPIFFE id of the caller's verified certificate; nothing in plain text. */
function callerInput(name = 'caller'): Input {
  return { name, typedConfig: pack(UriSanInputSchema, {}) };
}

function headerInput(headerName: string): Input {
  return { name: headerName, typedConfig: pack(HttpRequestHeaderMatchInputSchema, { headerName }) };
}

/** As RE2 takes it for itself: beyond ASCII nothing may be escaped, and of what cannot be printed only the number. */
function quoted(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9_/\u0080-\uffff-]/g, (sign) =>
    /\p{Cc}/u.test(sign) ? `\\x{${sign.codePointAt(0)?.toString(16) ?? ''}}` : `\\${sign}`,
  );
}

function regex(expression: string): Comparison {
  return {
    matchPattern: { case: 'safeRegex', value: { regex: expression, engineType: { case: 'googleRe2', value: {} } } },
  };
}

const ANY = regex('(?s).*');

function compare(match: StringMatch): Comparison {
  if (match.kind === 'present') return ANY;
  if (match.kind === 'regex') return regex(match.value);
  // Envoy takes no empty text to compare with.
  if (match.value === '') return match.kind === 'prefix' ? ANY : regex('');
  return { matchPattern: { case: match.kind, value: match.value } };
}

/**
 * What a regular expression is made of that can hold a `$`: texts between `\Q` and `\E`, escapes, classes of characters; and
 * its ends, `$` and `\z`.
 */
const PARTS = /\\Q[^]*?(?:\\E|$)|\\[^]|\[\^?\]?(?:\[:\^?\w+:\]|\\[^]|[^\]\\])*\]|\$/g;

/** An expression for a path whose own ends, those of alternatives among them, may be followed by a query. */
function endingBeforeQuery(expression: string): string {
  return expression.replaceAll(PARTS, (part) => (part === '$' || part === '\\z' ? `(?:\\?.*)?${part}` : part));
}

/** `:path` has the query as well. */
function comparePath(match: StringMatch): Comparison {
  if (match.kind === 'exact') return regex(`${quoted(match.value)}(?:\\?.*)?`);
  if (match.kind !== 'regex') return compare(match);
  // It matches whole in any case; with an end of its own it would never match a path with a query.
  const open = match.value.replace(/^\^/, '').replace(/(?<!\\)\$$/, '');
  return regex(`(?:${endingBeforeQuery(open)})(?:\\?.*)?`);
}

function compareCaller(caller: string): Comparison {
  if (caller.startsWith('spiffe://')) return { matchPattern: { case: 'exact', value: caller } };
  const rest = caller.includes('/sa/') ? '' : '/sa/[^/,]+';
  return regex(`spiffe://[^/,]+/${quoted(caller)}${rest}`);
}

function single(input: Input, value: Comparison): Predicate {
  return { matchType: { case: 'singlePredicate', value: { input, matcher: { case: 'valueMatch', value } } } };
}

/** Envoy demands two or more of a list. */
function combined(kind: 'andMatcher' | 'orMatcher', predicates: readonly Predicate[]): Predicate {
  const [first, ...others] = predicates;
  if (first !== undefined && others.length === 0) return first;
  return { matchType: { case: kind, value: { predicate: [...predicates] } } };
}

function holds({ path, method, headers, callers }: LimitMatch): Predicate {
  const all: readonly Predicate[] = [
    ...(path === undefined ? [] : [single(headerInput(':path'), comparePath(path))]),
    ...(method === undefined ? [] : [single(headerInput(':method'), compare(method))]),
    ...Object.entries(headers).map(([name, match]) => single(headerInput(name), compare(match))),
    ...(callers.length === 0
      ? []
      : [
          combined(
            'orMatcher',
            callers.map((caller) => single(callerInput(), compareCaller(caller))),
          ),
        ]),
  ];
  return combined('andMatcher', all);
}

/**
 * The Host that a request asks for, whatever its letters. Envoy's virtual hosts leave its port out of account; a dot at the
 * end and what is no port are for those behind it to judge, who may take them for the same host.
 */
function compareHost(host: string): Comparison {
  const isWild = host.startsWith('*');
  const name = host.includes(':') ? quoted(`[${host}]`) : quoted(isWild ? host.slice(1) : host);
  return regex(`(?is)${isWild ? '.+' : ''}${name}\\.?(?::.*)?`);
}

/**
 * Passes over a filter unless one of the alternatives holds, and the request asks for one of the hosts.
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/match_delegate_filter
 * @param alternatives none without a condition; empty: any request
 * @param hosts names and `*.suffix`; empty: any. One of the two is not empty
 */
export function skipUnless(
  alternatives: readonly LimitMatch[],
  hosts: readonly string[],
): MessageInitShape<typeof MatcherSchema> {
  const asked = hosts.map((host) => single(headerInput(':authority'), compareHost(host)));
  const wanted = combined('andMatcher', [
    ...(asked.length === 0 ? [] : [combined('orMatcher', asked)]),
    ...(alternatives.length === 0 ? [] : [combined('orMatcher', alternatives.map(holds))]),
  ]);
  return {
    matcherType: {
      case: 'matcherList',
      value: {
        matchers: [
          {
            predicate: { matchType: { case: 'notMatcher', value: wanted } },
            onMatch: { onMatch: { case: 'action', value: { name: 'skip', typedConfig: pack(SkipFilterSchema, {}) } } },
          },
        ],
      },
    },
  };
}
