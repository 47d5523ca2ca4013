/** What an agent says of a request that nobody has sent: `trysail explain`. */
import { join } from 'node:path';
import { runCommand } from '../machines/run-command.ts';
import type { Report } from '../report.ts';
import { cyan, dim } from '../screen/style.ts';
import { meshMachine } from '../topology.ts';
import { ROOT, type World } from '../world.ts';

/** Asks the agent of a machine, prints what it says first and what it considered, and returns all of it. */
export async function explained(
  world: World,
  report: Report,
  machine: string,
  question: readonly string[],
): Promise<string> {
  const asked = ['explain', ...question];
  const argv = [join(ROOT, 'scripts/trysail'), ...asked, '--socket', world.agent(machine).socket];
  const answer = await runCommand(world.network.commandOn(meshMachine(machine), argv));
  const folder = `${world.files.resourceFolder}/`;
  const text = answer.replaceAll(folder, '').trimEnd();
  const [what = '', facts = '', considered = ''] = text.split('\n\n');
  const told = facts.split('\n').filter((line) => /^ +(?:Route|Fault) /.test(line));
  report.note(`${dim(`${machine}$`)} ${cyan(`trysail ${asked.map(quoted).join(' ')}`)}`);
  report.note([what, ...told, considered].join('\n'));
  return text;
}

function quoted(word: string): string {
  return word.includes(' ') ? `'${word}'` : word;
}
