/** What systemd says of units. */
import type { HostIo } from './host-check.ts';

/** systemd's own properties of a unit, such as `ActiveState`; see systemctl(1), `show`. */
export type UnitProperties = Readonly<Record<string, string>>;

export const AGENT_UNIT = 'trysail.service';
export const ENVOY_UNIT = 'trysail-envoy.service';

/** Blocks of `Key=value` lines, one a unit, by `Id`. */
function parseUnits(text: string): ReadonlyMap<string, UnitProperties> {
  const units = new Map<string, UnitProperties>();
  for (const block of text.split(/\n\s*\n/)) {
    const properties = Object.fromEntries(
      block.split('\n').flatMap((line) => {
        const at = line.indexOf('=');
        return at < 1 ? [] : [[line.slice(0, at), line.slice(at + 1)]];
      }),
    );
    const id = properties['Id'];
    if (id !== undefined) units.set(id, properties);
  }
  return units;
}

/** The properties of those units that are installed, by name; undefined: this host does not run systemd. */
export async function unitsOf(
  io: Pick<HostIo, 'stat' | 'run'>,
  names: readonly string[],
  properties: readonly string[],
): Promise<ReadonlyMap<string, UnitProperties> | undefined> {
  if ((await io.stat('/run/systemd/system')) === undefined) return undefined;
  const all = ['Id', 'LoadState', ...properties].join(',');
  const shown = await io.run('systemctl', ['show', '--no-pager', `--property=${all}`, '--', ...names]);
  if (shown?.code !== 0) return undefined;
  return new Map([...parseUnits(shown.stdout)].filter(([, unit]) => unit['LoadState'] !== 'not-found'));
}
