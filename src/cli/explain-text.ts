/** An explanation for people: what becomes of the request, by which rules, and why by no others. */
import type {
  ConsideredRoute,
  CountingLimit,
  ExplainedDestination,
  ExplainedPolicy,
  Explanation,
  HeaderFacts,
  RouteFacts,
} from '../model/explanation.ts';
import { alignColumns, printable } from './output.ts';
import type { Style } from './status-text.ts';

type Row = readonly [string, string];

function headline({ request }: Explanation, style: Style): string {
  const { kind, method, port, path, sni, from, callerKnown, gateway } = request;
  const host = request.host.includes(':') ? `[${request.host}]` : request.host;
  // At a gateway only TLS asks for a server name.
  const scheme = gateway !== undefined && sni !== undefined ? 'https' : 'http';
  const what =
    kind === 'http'
      ? `${method ?? ''} ${scheme}://${host}:${port}${path ?? ''}`
      : `${kind}://${host}:${port}${sni === undefined || sni === request.host ? '' : ` (SNI ${sni})`}`;
  if (gateway !== undefined) return `${style.heading(what)} at gateway ${gateway}`;
  return `${style.heading(what)} from ${from}${callerKnown ? '' : style.doubtful(' (in no file: taken to have no labels)')}`;
}

function verdict({ outcome, action, note }: Explanation, style: Style): readonly string[] {
  const said = note === undefined ? '' : `: ${note}`;
  switch (outcome) {
    case 'forwarded': {
      const abort = action?.fault?.abort;
      return [
        ...(note === undefined ? [] : [style.doubtful(note)]),
        ...(abort?.percent === 100 ? [style.bad(`never sent: a fault answers with ${abort.status}`)] : []),
      ];
    }
    case 'redirected':
      return [
        style.good(`redirected by ${action?.redirect?.code ?? ''} to ${action?.redirect?.location ?? ''}${said}`),
      ];
    case 'answered':
      return [style.good(`answered with ${action?.directResponse?.status ?? ''} by Envoy itself${said}`)];
    case 'not-found':
      return [style.bad(`404${said}`)];
    case 'passthrough':
      return [style.doubtful(`passes on to where it was going, past the rules of the mesh${said}`)];
    case 'refused':
      return [style.bad(`the connection is closed${said}`)];
  }
}

/** The column that is left out where it would be empty. */
const SUBSET = 2;

function destinationLines(destinations: readonly ExplainedDestination[], style: Style): readonly string[] {
  const rows = destinations.map(({ weight, destination, port, subset, cluster, failure }) => [
    destinations.length > 1 ? `${weight} %` : '→',
    `${destination}:${port}`,
    subset === undefined ? '' : `subset ${subset}`,
    failure === undefined ? cluster : style.bad(failure),
  ]);
  const withSubsets = destinations.some(({ subset }) => subset !== undefined);
  const shown = rows.map((row) => row.filter((_, column) => column !== SUBSET || withSubsets).map(printableCell));
  return alignColumns(shown).map((line) => `  ${line}`);
}

/** Colours are control characters of our own. */
function printableCell(text: string): string {
  return text.includes('\u001b') ? text : printable(text);
}

function headerWords({ set, add, remove }: HeaderFacts): string {
  return [
    ...Object.entries(set).map(([name, value]) => `set ${name}: ${value}`),
    ...Object.entries(add).map(([name, value]) => `add ${name}: ${value}`),
    ...remove.map((name) => `remove ${name}`),
  ].join('; ');
}

function faultWords({ delay, abort }: NonNullable<RouteFacts['fault']>): string {
  return [
    ...(delay === undefined ? [] : [`${delay.percent} % wait ${delay.time}`]),
    ...(abort === undefined ? [] : [`${abort.percent} % are answered with ${abort.status}`]),
  ].join(', ');
}

function actionRows(action: RouteFacts | undefined): readonly Row[] {
  if (action === undefined) return [];
  const { rewrite, timeout, retries, fault, mirrors, cors, requestHeaders, responseHeaders, hashBy } = action;
  const body = action.directResponse?.body;
  const forwarded = action.redirect === undefined && action.directResponse === undefined;
  return [
    ...(rewrite?.path === undefined ? [] : [['Path', `becomes ${rewrite.path}`] as const]),
    ...(rewrite?.authority === undefined ? [] : [['Authority', `becomes ${rewrite.authority}`] as const]),
    ...(body === undefined ? [] : [['Body', body.length > 60 ? `${body.slice(0, 60)}…` : body] as const]),
    ...(forwarded ? [['Timeout', timeout ?? 'none'] as const] : []),
    ...(forwarded
      ? [
          [
            'Retries',
            retries === undefined
              ? 'none'
              : `${retries.attempts}${retries.perTryTimeout === undefined ? '' : `, each at most ${retries.perTryTimeout}`}, on ${retries.on.replaceAll(',', ', ')}`,
          ] as const,
        ]
      : []),
    ...(fault === undefined ? [] : [['Fault', faultWords(fault)] as const]),
    ...mirrors.map(({ cluster, percent }) => ['Mirror', `${percent} % to ${cluster}`] as const),
    ...(cors === undefined ? [] : [['CORS', 'has a policy'] as const]),
    ...(requestHeaders === undefined ? [] : [['Request', headerWords(requestHeaders)] as const]),
    ...(responseHeaders === undefined ? [] : [['Response', headerWords(responseHeaders)] as const]),
    ...(hashBy.length === 0 ? [] : [['Sticky by', hashBy.join(', ')] as const]),
  ];
}

const TLS: Readonly<Record<ExplainedPolicy['tls']['mode'], string>> = {
  mutual: 'mutual TLS',
  simple: 'TLS',
  plain: 'plain text',
  'mutual-or-plain': 'mutual TLS where the endpoint offers it, else plain text',
};

/** `maxPendingRequests` → `max pending requests`. */
const words = (key: string): string => key.replaceAll(/([A-Z])/g, (_, letter: string) => ` ${letter.toLowerCase()}`);

function figures(of: Readonly<Record<string, unknown>>): string {
  return Object.entries(of)
    .map(([key, value]) => `${words(key)} ${String(value)}`)
    .join(', ');
}

function policyRows(policy: ExplainedPolicy | undefined): readonly Row[] {
  if (policy === undefined) return [];
  const { tls, endpoints, circuitBreakers, outlierDetection, connectTimeout } = policy;
  const [peer, ...others] = tls.peers;
  return [
    ['Balancing', policy.loadBalancing.toLowerCase().replaceAll('_', ' ')],
    ...(endpoints === undefined
      ? [['Endpoints', `found by ${policy.type}`] as const]
      : [['Endpoints', `${endpoints.healthy} of ${endpoints.total} can be called`] as const]),
    [
      'Security',
      `${TLS[tls.mode]}${peer === undefined ? '' : `, with ${peer}${others.length === 0 ? '' : ` or ${others.length} more`}`}${tls.sni === undefined || tls.sni.startsWith('outbound_') ? '' : `, SNI ${tls.sni}`}`,
    ],
    ...(connectTimeout === undefined ? [] : [['Connecting', `at most ${connectTimeout}`] as const]),
    ...(Object.keys(circuitBreakers).length === 0 ? [] : [['Limits', figures(circuitBreakers)] as const]),
    ...(outlierDetection === undefined ? [] : [['Outliers', figures(outlierDetection) || 'by the defaults'] as const]),
    ...policy.rules.map(({ rule, source }) => ['Rule', `${rule}  ${source}`] as const),
  ];
}

const MARKS: Readonly<Record<ConsideredRoute['result'], string>> = {
  taken: '✓',
  passed: '✗',
  skipped: '–',
  unreached: '·',
};

function consideredLines({ considered, ignored }: Explanation, style: Style): readonly string[] {
  if (considered.length + ignored.length === 0) return [];
  const rows = [
    ...considered.map(({ route, source, result, reason }) => [MARKS[result], route, source, reason ?? 'takes it']),
    ...ignored.map(({ virtualService, source, reason }) => ['–', virtualService, source, reason]),
  ];
  const lines = alignColumns(rows.map((row) => row.map(printable)));
  const painted = lines.map((line) =>
    line.startsWith('✓') ? style.good(line) : line.startsWith('✗') ? line : style.faint(line),
  );
  return ['', style.heading('Considered'), ...painted.map((line) => `  ${line}`)];
}

/** `RateLimit default/edge clients: 20 per 1s and remoteAddress`. */
function limitRow({ rateLimit, limit, source, ...of }: CountingLimit): Row {
  const notes = [
    ...(of.scope === 'fleet' ? ['shared by the fleet'] : []),
    ...(of.server === undefined ? [] : [`asks ${of.server}`]),
    ...(of.dryRun ? ['dry run'] : []),
    ...(of.byCertificate ? ['where the caller shows such a certificate'] : []),
  ];
  const figure = `${of.requests} per ${[of.per, ...of.by].join(', ')}`;
  return ['Counted by', `${rateLimit} ${limit}: ${figure}${notes.map((note) => `; ${note}`).join('')}  ${source}`];
}

/** The whole answer, ending in a line break. */
export function explanationText(explanation: Explanation, style: Style): string {
  const { destinations, virtualService, route, source, action, policy, protocol, envoyFilters } = explanation;
  const by =
    virtualService === undefined
      ? protocol === 'http' && route !== undefined
        ? 'default: no VirtualService has a say'
        : undefined
      : `${route ?? 'none'} of ${virtualService}${source === undefined ? '' : `  ${source}`}`;
  const rows: readonly Row[] = [
    ...(by === undefined ? [] : [['Route', by] as const]),
    ...actionRows(action),
    ...policyRows(policy),
    ...(explanation.rateLimits ?? []).map(limitRow),
    ...envoyFilters.map(({ envoyFilter, source: at }) => ['Patched by', `${envoyFilter}  ${at}`] as const),
  ];
  const facts = alignColumns(rows.map((row) => row.map(printable)));
  const several = destinations.length > 1 && policy !== undefined;
  return `${[
    headline(explanation, style),
    ...verdict(explanation, style).map((line) => `  ${line}`),
    ...destinationLines(destinations, style),
    '',
    ...facts.map((line) => `  ${line}`),
    ...(several ? [style.faint(`  (balancing, security and limits are those of ${explanation.cluster ?? ''})`)] : []),
    ...consideredLines(explanation, style),
  ]
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trimEnd()}\n`;
}
