/** `tls` of a traffic policy: which certificates, and which of its fields exclude each other. */
import type { Path } from '../../lib/yaml-document.ts';
import type { ClientTls } from '../../model/destination-rule.ts';
import type { ClientTlsSpec } from './destination-rule-schema.ts';
import type { Report } from './kind.ts';

/** A field that is empty counts as absent, as in protobuf. */
function given(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

const PATHS = ['clientCertificate', 'privateKey', 'caCertificates', 'caCrl'] as const;

function check(spec: ClientTlsSpec, path: Path, report: Report): void {
  const { mode = 'DISABLE' } = spec;
  const files = PATHS.filter((name) => given(spec[name]) !== undefined);
  const named = given(spec.credentialName) !== undefined;
  if (mode === 'DISABLE' || mode === 'ISTIO_MUTUAL') {
    for (const name of [...files, ...(named ? ['credentialName'] : [])])
      report([...path, name], `has no effect with mode ${mode}`, `Remove it, or set mode to SIMPLE or MUTUAL.`, {
        code: 'TRY0005',
        severity: 'warning',
      });
    return;
  }
  if (named && files.length > 0)
    report(path, `has both credentialName and ${files.join(', ')}`, 'Keep credentialName, or the files.');
  if (named && !/^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(spec.credentialName ?? ''))
    report([...path, 'credentialName'], `"${spec.credentialName ?? ''}" is not a name`, 'Write the name of a folder.');
  for (const name of files)
    if (!(spec[name] ?? '').startsWith('/'))
      report([...path, name], `"${spec[name] ?? ''}" is not an absolute path`, 'Write a path that begins with "/".');
  if (mode === 'MUTUAL' && !named)
    for (const name of ['clientCertificate', 'privateKey'] as const)
      if (given(spec[name]) === undefined)
        report(path, `mode MUTUAL needs ${name}`, `Write ${name}, or credentialName.`);
  if (mode === 'SIMPLE' && files.some((name) => name === 'clientCertificate' || name === 'privateKey'))
    report(
      path,
      'mode SIMPLE shows no certificate',
      'Set mode to MUTUAL, or remove clientCertificate and privateKey.',
      {
        code: 'TRY0005',
        severity: 'warning',
      },
    );
  if (spec.insecureSkipVerify === true) {
    const verifies = [
      ...files.filter((name) => name === 'caCertificates'),
      ...((spec.subjectAltNames ?? []).length > 0 ? ['subjectAltNames'] : []),
      ...(named && mode === 'SIMPLE' ? ['credentialName'] : []),
    ];
    if (verifies.length > 0)
      report(path, `has both insecureSkipVerify and ${verifies.join(', ')}`, 'Remove insecureSkipVerify.');
  }
}

export function buildClientTls(spec: ClientTlsSpec, path: Path, report: Report): ClientTls {
  check(spec, path, report);
  const { mode = 'DISABLE' } = spec;
  const own = mode === 'SIMPLE' || mode === 'MUTUAL';
  const clientCertificate = mode === 'MUTUAL' ? given(spec.clientCertificate) : undefined;
  const privateKey = mode === 'MUTUAL' ? given(spec.privateKey) : undefined;
  const caCertificates = own ? given(spec.caCertificates) : undefined;
  const caCrl = own ? given(spec.caCrl) : undefined;
  const credentialName = own ? given(spec.credentialName) : undefined;
  const sni = given(spec.sni);
  return {
    mode,
    ...(clientCertificate !== undefined && { clientCertificate }),
    ...(privateKey !== undefined && { privateKey }),
    ...(caCertificates !== undefined && { caCertificates }),
    ...(caCrl !== undefined && { caCrl }),
    ...(credentialName !== undefined && { credentialName }),
    subjectAltNames: spec.subjectAltNames ?? [],
    ...(sni !== undefined && { sni }),
    insecureSkipVerify: spec.insecureSkipVerify ?? false,
  };
}
