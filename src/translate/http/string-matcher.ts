/** Istio's string matches as Envoy's. */
import { create } from '@bufbuild/protobuf';
import { RegexMatcherSchema } from '../../gen/envoy/type/matcher/v3/regex_pb.ts';
import { type StringMatcher, StringMatcherSchema } from '../../gen/envoy/type/matcher/v3/string_pb.ts';
import type { StringMatch } from '../../model/virtual-service.ts';

/** A match that looks at the text, not only at whether there is one. */
export type TextMatch = Exclude<StringMatch, { kind: 'present' }>;

/** `*` is how some write "present" in a regex; RE2 would refuse it. */
export function isPresence(match: StringMatch): match is Exclude<StringMatch, TextMatch> {
  return match.kind === 'present' || (match.kind === 'regex' && match.value === '*');
}

export function stringMatcher(match: TextMatch): StringMatcher {
  if (match.kind === 'regex')
    return create(StringMatcherSchema, {
      matchPattern: { case: 'safeRegex', value: create(RegexMatcherSchema, { regex: match.value }) },
    });
  return create(StringMatcherSchema, { matchPattern: { case: match.kind, value: match.value } });
}
