/** All workload certificates are replaced while load runs; connections are kept or replaced without a failure. */
import { join } from 'node:path';
import { runCommand } from '../machines/run-command.ts';
import { table } from '../screen/table.ts';
import { meshMachine, REGISTRY, SERVICE_PORT } from '../topology.ts';
import type { World } from '../world.ts';
import { failedOf, pause, type Scenario, underLoad } from './scenario.ts';

const SHOWN = meshMachine('details-1');

export const certificateRotated: Scenario = {
  name: 'certificates rotated',
  title: 'All workload certificates are renewed while load runs',
  run: async (world, report) => {
    const before = await serials(world);
    const { figures } = await underLoad(world, report, async () => {
      await Promise.all(world.agents.map((agent) => agent.rotate()));
      await pause(world, 2000);
    });
    const after = await serials(world);
    const short = (serial: string | undefined): string => (serial === undefined ? 'none' : `${serial.slice(0, 12)}…`);
    const rows = world.agents.map(({ machine: { name } }) => [name, short(before.get(name)), short(after.get(name))]);
    report.note(table(['machine', 'serial before', 'serial after'], rows));
    const renewed = [...after].filter(([name, serial]) => serial !== undefined && serial !== before.get(name));
    report.check(
      renewed.length === world.agents.length,
      'every serial is a new one',
      `${renewed.length} of ${world.agents.length}`,
    );
    const shown = await serialOnTheWire(world);
    report.check(
      sameSerial(shown, after.get(SHOWN.name)) && !sameSerial(shown, before.get(SHOWN.name)),
      `the port of ${SHOWN.name} shows the new one`,
      short(shown),
    );
    report.check(figures.failures === 0, 'no request failed', failedOf(figures));
    report.highlight(`${renewed.length} new certificates`);
  },
};

/** The serial number of the certificate that a stranger is shown. */
async function serialOnTheWire(world: World): Promise<string> {
  const script = join(import.meta.dirname, '../machines/tls-serial.ts');
  const argv = [process.execPath, script, world.network.addressOf(SHOWN), String(SERVICE_PORT)];
  return (await runCommand(world.network.commandOn(REGISTRY, argv))).toLowerCase();
}

/** Leading zeros are written by some and not by others. */
function sameSerial(a: string, b: string | undefined): boolean {
  return b !== undefined && BigInt(`0x${a}`) === BigInt(`0x${b}`);
}

async function serials(world: World): Promise<ReadonlyMap<string, string | undefined>> {
  const entries = await Promise.all(
    world.agents.map(async (agent): Promise<[string, string | undefined]> => {
      const { certificates } = await agent.status();
      return [agent.machine.name, certificates.workloads[0]?.serial];
    }),
  );
  return new Map(entries);
}
