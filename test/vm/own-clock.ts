/**
 * Machines share this host's clock, which a test cannot set. So the units of one get a wall clock of their own, by a library
 * that is loaded before libc (`fixtures/clock.c`): the agent, and Envoy with its verification of certificates, believe it.
 */
import type { Machine } from './machine.ts';

const LIBRARY = '/usr/local/lib/clock.so';
const offsetFile = (unit: string): string => `/etc/clock-${unit}`;

/** Restarts units with clocks of their own, which are right at first. */
export async function giveClocks(machine: Machine, units: readonly string[]): Promise<void> {
  await machine.run(`tcc -nostdlib -shared -o ${LIBRARY} /fixtures/clock.c`);
  for (const unit of units) {
    await setClock(machine, [unit], 0);
    await machine.write(
      `/run/systemd/system/${unit}.service.d/clock.conf`,
      // The library's memory is writable and executable.
      `[Service]\nEnvironment=LD_PRELOAD=${LIBRARY} CLOCK_OFFSET_FILE=${offsetFile(unit)}\nMemoryDenyWriteExecute=no\n`,
    );
  }
  await machine.run(`systemctl daemon-reload && systemctl restart ${units.join(' ')}`);
}

/** Sets these units' clocks so many seconds ahead of the right time, or behind; they see it within a second. */
export async function setClock(machine: Machine, units: readonly string[], aheadS: number): Promise<void> {
  for (const unit of units) await machine.write(offsetFile(unit), `${aheadS}\n`);
}
