// The manual page, made of what --help says of every command.
import type { Command } from 'commander';
import { createProgram, GUIDE } from '../src/cli/program.ts';

const escape = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/^([.'])/gm, '\\&$1');

/** The help of a command as it is printed, with all that is added to it. */
function helpOf(command: Command): string {
  let text = '';
  const write = (part: string): void => void (text += part);
  command.configureOutput({ writeOut: write, writeErr: write, getOutHelpWidth: () => 78 }).outputHelp();
  return text.trim();
}

const literal = (text: string): string => `.nf\n${escape(text)}\n.fi\n`;

/** trysail(1) in troff; the same for the same sources and time. */
export async function manualPage(facts: { readonly version: string; readonly epoch: number }): Promise<string> {
  const program = await createProgram(undefined);
  const date = new Date(facts.epoch * 1000).toISOString().slice(0, 10);
  const describe = (command: Command, name: string): readonly string[] => [
    `.SS "${escape(name)}"\n${literal(helpOf(command))}`,
    ...command.commands.flatMap((nested) => describe(nested, `${name} ${nested.name()}`)),
  ];
  return `.TH TRYSAIL 1 "${date}" "Trysail ${facts.version}" "User Commands"
.SH NAME
trysail \\- Istio's API on plain virtual machines, on Consul and Envoy
.SH SYNOPSIS
.B trysail
.I command
.RI [ options ]
.SH DESCRIPTION
${literal(GUIDE)}.SH COMMANDS
${program.commands.flatMap((command) => describe(command, command.name())).join('')}.SH FILES
.TP
.I /etc/trysail/agent.yaml
What this host is and how it finds the mesh. Nothing starts without it.
.TP
.I /etc/trysail/meshconfig.yaml
What holds for the whole mesh.
.TP
.I /etc/trysail/resources.d/*.yaml
Istio resources and records of trysail.dev/v1.
.TP
.I /etc/trysail/fleet-root.pem
Whose configuration of all hosts this host takes.
.TP
.I /etc/trysail/credentials/
Certificates that resources name by credentialName.
.TP
.I /etc/trysail/server.yaml
Settings of the certificate authority.
.TP
.I /var/lib/trysail
State of the agent: credential, keys, last good configuration.
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1),
.BR consul (1)
`;
}
