/** Who listens where on this host: no two at one address, and upstreams where only this machine can reach them. */
import type { Path } from '../lib/yaml-document.ts';
import type { SocketAddress } from '../model/host.ts';
import { isLoopback, isWildcard } from './setting-forms.ts';
import type { AgentSettings } from './settings.ts';
import { type Complaint, RULE } from './settings-place.ts';

/** `10.0.0.5:80`, `[::1]:80`. */
export function formatSocketAddress({ address, port }: SocketAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

interface Listener {
  readonly path: Path;
  readonly what: string;
  readonly at: SocketAddress;
  /** Whether the agent's Envoy binds it; else the application does. */
  readonly ours: boolean;
}

function listeners(settings: AgentSettings): readonly Listener[] {
  const { host, envoy } = settings;
  return [
    ...settings.services.flatMap(({ name, inbound }, i): Listener[] =>
      inbound === undefined
        ? []
        : [
            {
              path: ['services', i, 'port'],
              what: `service ${name}`,
              at: { address: host.address, port: inbound.port },
              ours: true,
            },
            {
              path: ['services', i, 'application'],
              what: `the application of service ${name}`,
              at: inbound.application,
              ours: false,
            },
          ],
    ),
    ...settings.upstreams.map(({ listen }, i) => ({
      path: ['upstreams', i, 'listen'],
      what: `upstreams[${i}]`,
      at: listen,
      ours: true,
    })),
    { path: ['envoy', 'healthListener'], what: "Envoy's health listener", at: envoy.healthListener, ours: true },
  ];
}

function collide(a: SocketAddress, b: SocketAddress): boolean {
  return a.port === b.port && (a.address === b.address || isWildcard(a.address) || isWildcard(b.address));
}

/** Complaints of two listeners of ours at one address, or one of ours where an application listens. */
export function listenerComplaints(settings: AgentSettings): readonly Complaint[] {
  const complaints: Complaint[] = [];
  const all = listeners(settings);
  for (const [i, later] of all.entries()) {
    const earlier = all.slice(0, i).find((other) => (other.ours || later.ours) && collide(other.at, later.at));
    if (earlier === undefined) continue;
    // A service whose application already holds the mesh's own port is the one mistake that everybody makes once.
    const sameService =
      !later.ours && earlier.ours && earlier.path[1] === later.path[1] && earlier.path[0] === 'services';
    complaints.push({
      code: RULE,
      path: later.path,
      message: `${formatSocketAddress(later.at)} of ${later.what} is taken by ${earlier.what} (${formatSocketAddress(earlier.at)})`,
      remedy: sameService
        ? 'Let the application listen on 127.0.0.1 and another port than Envoy, and name it in application.'
        : 'Give each its own address or port.',
    });
  }
  return complaints;
}

/** Complaints of upstreams that other machines could reach. */
export function upstreamComplaints(settings: AgentSettings): readonly Complaint[] {
  return settings.upstreams.flatMap(({ listen }, i): Complaint[] =>
    isLoopback(listen.address)
      ? []
      : [
          {
            code: RULE,
            path: ['upstreams', i, 'listen'],
            message: `${formatSocketAddress(listen)} is not a loopback address: every machine that reaches it could call with this host's identity`,
            remedy: `Write 127.0.0.1:${listen.port}, or another address in 127.0.0.0/8 or ::1.`,
          },
        ],
  );
}
