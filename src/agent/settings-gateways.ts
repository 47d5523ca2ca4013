/** What the gateways of agent.yaml must satisfy together, each on its own being well formed. */
import type { AgentSettings } from './settings.ts';
import { type Complaint, RULE } from './settings-place.ts';
import type { WrittenSettings } from './settings-schema.ts';

function portComplaints(written: WrittenSettings): readonly Complaint[] {
  return written.gateways.flatMap(({ ports }, i) => {
    const seen = new Map<number, string>();
    return Object.entries(ports).flatMap(([key, listen]): Complaint[] => {
      const path = ['gateways', i, 'ports', key];
      const number = /^\d{1,5}$/.test(key) ? Number(key) : 0;
      if (number < 1 || number > 65_535)
        return [{ code: RULE, path, message: `"${key}" is not a port`, remedy: 'Write ports, such as 80: 8080.' }];
      const earlier = seen.get(listen);
      seen.set(listen, key);
      return earlier === undefined
        ? []
        : [
            {
              code: RULE,
              path,
              message: `port ${listen} is for port ${earlier} of Gateways already`,
              remedy: 'Give each a port of its own.',
            },
          ];
    });
  });
}

/** Complaints of gateways of one name, of one place to listen at, or that are services of the host as well. */
export function gatewayComplaints(settings: AgentSettings, written: WrittenSettings): readonly Complaint[] {
  const owners = new Map(settings.services.map(({ namespace, name }, i) => [`${namespace}/${name}`, `services[${i}]`]));
  const places = new Map<string, number>();
  const complaints = settings.gateways.flatMap(({ namespace, name, address, labels }, i): Complaint[] => {
    const id = `${namespace}/${name}`;
    const owner = owners.get(id);
    owners.set(id, `gateways[${i}]`);
    const place = `${address} ${JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)))}`;
    const other = places.get(place);
    places.set(place, i);
    return [
      ...(owner === undefined
        ? []
        : [
            {
              code: RULE,
              path: ['gateways', i, 'name'],
              message: `${id} stands here and at ${owner}`,
              remedy: 'Rename or remove one: a gateway is a service of its own.',
            },
          ]),
      ...(other === undefined
        ? []
        : [
            {
              code: RULE,
              path: ['gateways', i, 'labels'],
              message: `it has the address and the labels of gateways[${other}], so that both would serve the same Gateways`,
              remedy: 'Give it other labels, or another address.',
            },
          ]),
    ];
  });
  return [...complaints, ...portComplaints(written)];
}
