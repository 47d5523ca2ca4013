/** TLS settings of a Gateway's server: from Istio's form to the model's, with the rules that its schema cannot say. */
import { isAbsolute } from 'node:path';
import type { Path } from '../../lib/yaml-document.ts';
import type { GatewayProtocol, ServerTls, ServerTlsMode, TlsVersion } from '../../model/gateway.ts';
import type { ServerSpec, ServerTlsSpec } from './gateway-schema.ts';
import { type Report, SCHEMA_WARNING } from './kind.ts';

/** What BoringSSL, hence Envoy, knows below TLS 1.3, whose suites cannot be chosen. */
export const CIPHER_SUITES: readonly string[] = [
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'AES256-GCM-SHA384',
  'AES128-GCM-SHA256',
  'AES256-SHA',
  'AES128-SHA',
];
/** Groups that Envoy can agree on a key by. */
export const CURVES: readonly string[] = ['X25519MLKEM768', 'X25519', 'P-256', 'P-384', 'P-521'];
const VERSIONS: readonly TlsVersion[] = ['TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3'];
/** One folder, never a path. */
const CREDENTIAL = /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/;
const SPKI = /^[A-Za-z0-9+/]{43}=$/;
const HASH = /^(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){31})$/;

/** What is known of a list, each once; the rest is reported. */
export function known(
  given: readonly string[],
  list: readonly string[],
  path: Path,
  report: Report,
): readonly string[] {
  return given.filter((value, i) => {
    const problem = !list.includes(value) ? 'is not known' : given.indexOf(value) < i ? 'stands here twice' : undefined;
    if (problem !== undefined)
      report(
        [...path, i],
        `"${value}" ${problem}; it is left out`,
        `Use each at most once: ${list.join(', ')}.`,
        SCHEMA_WARNING,
      );
    return problem === undefined;
  });
}

function formed(given: readonly string[], form: RegExp, path: Path, report: Report, remedy: string): readonly string[] {
  for (const [i, value] of given.entries())
    if (!form.test(value)) report([...path, i], `"${value}" is not a SHA-256 digest`, remedy);
  return given;
}

function checkPath(value: string | undefined, path: Path, report: Report): string | undefined {
  if (value !== undefined && !isAbsolute(value))
    report(path, `"${value}" is not an absolute path`, 'Write the path of the file on the gateway host.');
  return value;
}

function checkName(value: string, path: Path, report: Report): string {
  if (!CREDENTIAL.test(value))
    report(
      path,
      `"${value}" is not the name of a credential`,
      'Write the name of a folder below the credentials folder of the gateway host.',
    );
  return value;
}

function versions(spec: ServerTlsSpec, path: Path, report: Report): readonly [TlsVersion, TlsVersion] {
  let min = spec.minProtocolVersion ?? 'TLS_AUTO';
  const max = spec.maxProtocolVersion ?? 'TLS_AUTO';
  if (min === 'TLSV1_0' || min === 'TLSV1_1') {
    report([...path, 'minProtocolVersion'], `${min} is not secure; TLSV1_2 holds`, 'Write TLSV1_2.', SCHEMA_WARNING);
    min = 'TLSV1_2';
  }
  const least = min === 'TLS_AUTO' ? 'TLSV1_2' : min;
  if (max !== 'TLS_AUTO' && VERSIONS.indexOf(max) < VERSIONS.indexOf(least))
    report(
      [...path, 'maxProtocolVersion'],
      `${max} is below the least version, ${least}: nobody could connect`,
      'Raise it, or leave it out.',
    );
  return [min, max];
}

/** The one source of certificates that a mode which ends TLS needs. */
function certificates(
  spec: ServerTlsSpec,
  path: Path,
  report: Report,
): Pick<ServerTls, 'certificates' | 'credentialNames'> {
  const files: { readonly serverCertificate: string; readonly privateKey: string }[] = [];
  const sources: string[] = [];
  if (spec.credentialName !== undefined) sources.push('credentialName');
  if (spec.credentialNames !== undefined) sources.push('credentialNames');
  if (spec.tlsCertificates !== undefined) sources.push('tlsCertificates');
  const { serverCertificate, privateKey } = spec;
  if (serverCertificate !== undefined || privateKey !== undefined) {
    sources.push('serverCertificate and privateKey');
    if (serverCertificate === undefined || privateKey === undefined)
      report(path, 'has one of serverCertificate and privateKey', 'Write both: they are one key pair.');
    else files.push({ serverCertificate, privateKey });
  }
  if (sources.length === 0)
    report(
      path,
      `mode ${spec.mode ?? 'PASSTHROUGH'} needs a certificate`,
      'Write credentialName, or serverCertificate and privateKey.',
    );
  if (sources.length > 1) report(path, `has several sources of certificates: ${sources.join(', ')}`, 'Keep one.');
  files.push(...(spec.tlsCertificates ?? []));
  for (const [i, pair] of files.entries()) {
    const at = spec.tlsCertificates === undefined ? path : [...path, 'tlsCertificates', i];
    checkPath(pair.serverCertificate, [...at, 'serverCertificate'], report);
    checkPath(pair.privateKey, [...at, 'privateKey'], report);
  }
  const names = spec.credentialName === undefined ? (spec.credentialNames ?? []) : [spec.credentialName];
  const key = spec.credentialName === undefined ? 'credentialNames' : 'credentialName';
  for (const [i, name] of names.entries())
    checkName(name, spec.credentialName === undefined ? [...path, key, i] : [...path, key], report);
  const list = spec.tlsCertificates === undefined ? names : files;
  const listKey = spec.tlsCertificates === undefined ? key : 'tlsCertificates';
  if (list.length > 2)
    report([...path, listKey], `has ${list.length} certificates`, 'Keep two at most: one RSA, one ECDSA.');
  if (
    sources.length === 1 &&
    list.length === 0 &&
    (names.length > 0 || spec.tlsCertificates !== undefined || spec.credentialNames !== undefined)
  )
    report([...path, listKey], 'is empty', 'Name a certificate.');
  return {
    certificates: files.map((pair) => ({ serverCertificate: pair.serverCertificate, privateKey: pair.privateKey })),
    credentialNames: names,
  };
}

const CERTIFICATE_FIELDS = [
  'serverCertificate',
  'privateKey',
  'tlsCertificates',
  'credentialName',
  'credentialNames',
  'caCertificates',
  'caCrl',
  'caCertCredentialName',
] as const;

/** Reports fields that a mode has no use for. */
function useless(spec: ServerTlsSpec, mode: ServerTlsMode, path: Path, report: Report): void {
  const given = CERTIFICATE_FIELDS.filter((field) => spec[field] !== undefined);
  if (given.length === 0) return;
  const message = `mode ${mode} uses no ${given.join(', ')}`;
  if (mode === 'ISTIO_MUTUAL') report(path, message, 'Remove them: it uses the certificates of the mesh.');
  else report(path, `${message}: TLS passes as it is`, 'Remove them, or write mode SIMPLE.', SCHEMA_WARNING);
}

/** What clients are verified by. */
function roots(
  spec: ServerTlsSpec,
  mode: ServerTlsMode,
  path: Path,
  report: Report,
): Pick<ServerTls, 'caCertificates' | 'caCrl' | 'caCertCredentialName'> {
  const { caCertificates, caCrl, caCertCredentialName } = spec;
  checkPath(caCertificates, [...path, 'caCertificates'], report);
  checkPath(caCrl, [...path, 'caCrl'], report);
  if (caCertCredentialName !== undefined) checkName(caCertCredentialName, [...path, 'caCertCredentialName'], report);
  if (caCertificates !== undefined && caCertCredentialName !== undefined)
    report(path, 'has both caCertificates and caCertCredentialName', 'Keep one.');
  const byName = spec.credentialName !== undefined || spec.credentialNames !== undefined;
  const verifies = mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL';
  if (verifies && caCertificates === undefined && caCertCredentialName === undefined && !byName)
    report(path, `mode ${mode} needs to know who signs clients’ certificates`, 'Write caCertificates.');
  if (caCrl !== undefined && caCertificates === undefined)
    report(
      [...path, 'caCrl'],
      'has no effect without caCertificates',
      'Put the list into the folder of the credential, as ca.crl.',
      SCHEMA_WARNING,
    );
  return { caCertificates, caCrl, caCertCredentialName };
}

const HTTP: ReadonlySet<GatewayProtocol> = new Set(['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB']);

/** The `tls` of a server, checked against its port. */
export function buildServerTls(
  server: Pick<ServerSpec, 'tls'>,
  protocol: GatewayProtocol,
  path: Path,
  report: Report,
): ServerTls | undefined {
  const { tls: spec } = server;
  const at = [...path, 'tls'];
  const isTls = protocol === 'HTTPS' || protocol === 'TLS';
  if (spec === undefined) {
    if (isTls) report(path, `a port of protocol ${protocol} needs tls`, 'Write tls with a mode.');
    return undefined;
  }
  const redirect = spec.httpsRedirect ?? false;
  const { httpsRedirect: _, ...rest } = spec;
  if (!isTls && (!HTTP.has(protocol) || Object.keys(rest).length > 0)) {
    report(
      at,
      `a port of protocol ${protocol} has no TLS`,
      HTTP.has(protocol) ? 'Keep httpsRedirect alone, or write protocol HTTPS.' : 'Remove tls, or write protocol TLS.',
    );
    return undefined;
  }
  if (isTls && redirect)
    report(
      [...at, 'httpsRedirect'],
      `it has no effect on a port of protocol ${protocol}`,
      'Set it on the server of the port of protocol HTTP.',
      SCHEMA_WARNING,
    );
  const mode: ServerTlsMode | undefined = isTls ? (spec.mode ?? 'PASSTHROUGH') : undefined;
  const ends = mode === 'SIMPLE' || mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL';
  if (mode !== undefined && !ends) useless(spec, mode, at, report);
  const own = ends ? certificates(spec, at, report) : { certificates: [], credentialNames: [] };
  const trusted = ends
    ? roots(spec, mode, at, report)
    : { caCertificates: undefined, caCrl: undefined, caCertCredentialName: undefined };
  const [minProtocolVersion, maxProtocolVersion] = versions(spec, at, report);
  const spki = [...at, 'verifyCertificateSpki'];
  const hash = [...at, 'verifyCertificateHash'];
  return {
    mode,
    httpsRedirect: !isTls && redirect,
    ...own,
    ...trusted,
    subjectAltNames: spec.subjectAltNames ?? [],
    verifyCertificateSpki: formed(
      spec.verifyCertificateSpki ?? [],
      SPKI,
      spki,
      report,
      'Write it in base64, 44 characters.',
    ),
    verifyCertificateHash: formed(
      spec.verifyCertificateHash ?? [],
      HASH,
      hash,
      report,
      'Write it in hexadecimal, 64 digits.',
    ),
    minProtocolVersion,
    maxProtocolVersion,
    cipherSuites: known(spec.cipherSuites ?? [], CIPHER_SUITES, [...at, 'cipherSuites'], report),
    ecdhCurves: known(spec.ecdhCurves ?? [], CURVES, [...at, 'ecdhCurves'], report),
  };
}
