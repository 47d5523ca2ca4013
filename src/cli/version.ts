/** `trysail version`. */
import type { Command } from 'commander';
import { VERSION } from '../api/version.ts';
import { type OutputFormat, outputOption, serialise } from './output.ts';

export function registerVersionCommand(program: Command): void {
  program
    .command('version')
    .description('Print the version of Trysail and of what it runs on.')
    .addOption(outputOption())
    .addHelpText('after', '\nExamples:\n  trysail version\n  trysail version -o json')
    .action(async (options: { readonly output: OutputFormat }) => {
      const facts = { trysail: VERSION, node: process.version, platform: `${process.platform}-${process.arch}` };
      process.stdout.write(
        options.output === 'text'
          ? `trysail ${facts.trysail}\nnode ${facts.node}\nplatform ${facts.platform}\n`
          : await serialise(facts, options.output),
      );
    });
}
