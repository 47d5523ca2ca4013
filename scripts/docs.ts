/**
 * Writes the pages of docs/ that come from definitions in the source: agent-yaml.md, diagnostics.md, istio-api.md. A test
 * (test/docs/pages.test.ts) fails while a page differs from what this makes.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SETTINGS, type Setting } from '../src/agent/settings-list.ts';
import { DIAGNOSTIC_CODES } from '../src/model/diagnostic-codes.ts';
import { apiPage, cell } from './api-page.ts';

const NOTICE = '<!-- Written by scripts/docs.ts; change the definitions in the source, then run it. -->';

const SETTINGS_INTRODUCTION = `# agent.yaml

${NOTICE}

What a host is and how it finds the mesh. \`trysail agent\` reads \`/etc/trysail/agent.yaml\`, or what \`--config\`
(\`TRYSAIL_CONFIG\`) names; \`trysail check\` checks it, and whether the host can do what it says. What holds for the whole mesh stands in
meshconfig.yaml.

- A flag beats the environment variable, which beats the file, which beats the default.
- Unknown keys are refused, with the nearest known one. A key without a value counts as absent.
- Relative paths are relative to the folder of the file.
- **Secrets come as files, never as values.** A file with a token or a key must not be readable for others (mode 0600,
  0640 or stricter). systemd's credentials work as they are: with \`LoadCredential=consul.token:/etc/secrets/token\` in the
  unit, write \`tokenFile: consul.token\` or \`tokenFile: \${CREDENTIALS_DIRECTORY}/consul.token\`. A relative path of a
  secret or certificate is looked for among the credentials first.
- Durations are written as in Go: \`300ms\`, \`10s\`, \`1h30m\`.

\`\`\`yaml
host:
  address: 10.0.0.5
consul:
  tokenFile: /etc/trysail/consul.token
identity:
  ca:
    joinTokenFile: /etc/trysail/join.token
services:
  - name: reviews
    version: v1
    port: 9080                   # Envoy listens on 10.0.0.5:9080 for the mesh
    application: 127.0.0.1:9080  # and hands requests to the application
    check: { http: /health }
upstreams:
  - service: ratings             # the application calls http://127.0.0.1:9082
    listen: 127.0.0.1:9082
\`\`\`
`;

function settingRow({ path, about, form, absent }: Setting): string {
  const key = path.slice(path.lastIndexOf('.') + 1);
  const noun = form?.noun ?? '';
  const value = noun.startsWith('one of') ? noun : `${noun}, such as \`${form?.example ?? ''}\``;
  return `| \`${key}\` | ${cell(about)} | ${cell(value)} | ${cell(absent ?? '**required**')} |`;
}

function sectionOf({ path }: Setting): string {
  const end = path.lastIndexOf('.');
  return end < 0 ? '' : path.slice(0, end);
}

/** The page on agent.yaml. */
export function settingsPage(): string {
  const values = SETTINGS.filter(({ form }) => form !== undefined);
  const parts = [SETTINGS_INTRODUCTION];
  const sections = ['', ...SETTINGS.filter(({ form }) => form === undefined).map(({ path }) => path)];
  for (const section of sections) {
    const heading = SETTINGS.find(({ path, form }) => form === undefined && path === section);
    const inside = values.filter((setting) => sectionOf(setting).replace(/\[\]$/, '') === section);
    if (inside.length === 0) continue;
    parts.push(
      `## ${section === '' ? 'At the top' : section}\n`,
      ...(heading === undefined ? [] : [`${heading.about}\n`]),
      '| key | meaning | value | when absent |',
      '|---|---|---|---|',
      ...inside.map(settingRow),
      '',
    );
  }
  parts.push(
    '## Flags and environment variables\n',
    'Lists and maps (`services`, `upstreams`) can be given in the file alone.\n',
    '| setting | flag | environment variable |',
    '|---|---|---|',
    ...SETTINGS.filter(({ flag }) => flag !== undefined).map(
      ({ path, flag, variable }) => `| \`${path}\` | \`${flag}\` | \`${variable}\` |`,
    ),
    '',
  );
  return parts.join('\n');
}

/** The page on diagnostic codes. */
export function diagnosticsPage(): string {
  return `# Diagnostics

${NOTICE}

What is wrong is data, not an exception: \`trysail check\`, \`trysail status\` and \`trysail reload\` show each fault with its
code, severity, place (\`file:line\`, object and path), message and remedy, and nothing else stops because of it. Codes
that begin with \`IST\` are Istio's own, with Istio's meaning; those with \`TRY\` are ours. A code never changes its meaning.

| code | meaning |
|---|---|
${Object.keys(DIAGNOSTIC_CODES)
  .toSorted()
  .map((code) => `| \`${code}\` | ${cell(DIAGNOSTIC_CODES[code] ?? '')} |`)
  .join('\n')}
`;
}

/** By file name in docs/. */
export const PAGES: Readonly<Record<string, () => string>> = {
  'agent-yaml.md': settingsPage,
  'diagnostics.md': diagnosticsPage,
  'istio-api.md': () => apiPage(NOTICE),
};

if (import.meta.main) {
  for (const [name, render] of Object.entries(PAGES))
    writeFileSync(join(import.meta.dirname, '..', 'docs', name), render());
}
