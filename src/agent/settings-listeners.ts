/** Who listens where on this host: no two at one address, and upstreams where only this machine can reach them. */
import type { Path } from '../lib/yaml-document.ts';
import type { SocketAddress } from '../model/host.ts';
import { MAX_SOCKET_PATH_BYTES } from '../platform/vm/paths.ts';
import { PORTS } from '../platform/vm/ports.ts';
import { isLoopback, isWildcard } from './address-forms.ts';
import { capturedCallers } from './callers.ts';
import type { AgentSettings } from './settings.ts';
import { isProxied } from './settings-complete.ts';
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

function serviceListeners({ host, services }: AgentSettings): readonly Listener[] {
  return services.flatMap(({ name, mode, inbound }, i): Listener[] => {
    if (inbound === undefined) return [];
    const proxied: Listener = {
      path: ['services', i, 'port'],
      what: `service ${name}`,
      at: { address: host.address, port: inbound.port },
      ours: true,
    };
    const application: Listener = {
      path: ['services', i, 'application'],
      what: `the application of service ${name}`,
      at: inbound.application,
      ours: false,
    };
    return isProxied(mode) && inbound.capture === undefined ? [proxied, application] : [application];
  });
}

function captureListeners(settings: AgentSettings): readonly Listener[] {
  const captured = settings.services.some(({ mode, inbound }) => isProxied(mode) && inbound?.capture !== undefined);
  const ours = (path: Path, what: string, address: string, port: number): Listener => ({
    path,
    what,
    at: { address, port },
    ours: true,
  });
  return [
    ...(captured ? [ours(['services'], 'captured inbound connections', '0.0.0.0', PORTS.inboundCapture)] : []),
    ...(capturedCallers(settings).length === 0
      ? []
      : [ours(['capture', 'outbound'], 'captured calls', '127.0.0.1', PORTS.outboundCapture)]),
  ];
}

function listeners(settings: AgentSettings): readonly Listener[] {
  return [
    ...serviceListeners(settings),
    ...settings.upstreams.flatMap(({ listen }, i): Listener[] =>
      listen === undefined || 'path' in listen
        ? []
        : [{ path: ['upstreams', i, 'listen'], what: `upstreams[${i}]`, at: listen, ours: true }],
    ),
    ...captureListeners(settings),
    ...(settings.discovery.proxy === undefined
      ? []
      : [{ path: ['discovery', 'proxy'], what: 'the proxy', at: settings.discovery.proxy, ours: true }]),
    {
      path: ['envoy', 'healthListener'],
      what: "Envoy's health listener",
      at: settings.envoy.healthListener,
      ours: true,
    },
  ];
}

function collide(a: SocketAddress, b: SocketAddress): boolean {
  return a.port === b.port && (a.address === b.address || isWildcard(a.address) || isWildcard(b.address));
}

/** Complaints of two upstreams on one socket, or of a path that no socket can have. */
function socketPathComplaints({ upstreams }: AgentSettings): readonly Complaint[] {
  const seen = new Map<string, number>();
  return upstreams.flatMap(({ listen }, i): Complaint[] => {
    if (listen === undefined || !('path' in listen)) return [];
    const path = ['upstreams', i, 'listen'];
    const bytes = Buffer.byteLength(listen.path);
    if (bytes >= MAX_SOCKET_PATH_BYTES)
      return [
        {
          code: RULE,
          path,
          message: `${listen.path} has ${bytes} bytes, and the path of a Unix socket at most ${MAX_SOCKET_PATH_BYTES - 1}`,
          remedy: 'Choose a shorter path.',
        },
      ];
    const earlier = seen.get(listen.path);
    seen.set(listen.path, i);
    return earlier === undefined
      ? []
      : [
          {
            code: RULE,
            path,
            message: `unix:${listen.path} is taken by upstreams[${earlier}]`,
            remedy: 'Give each a socket of its own.',
          },
        ];
  });
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
  return [...complaints, ...socketPathComplaints(settings)];
}

/** Complaints of upstreams, and of the proxy, that other machines could reach. */
export function upstreamComplaints(settings: AgentSettings): readonly Complaint[] {
  const nameless = settings.upstreams.flatMap(({ service, listen }, i): Complaint[] =>
    typeof service === 'string' && service.startsWith('*') && listen === undefined
      ? [
          {
            code: RULE,
            path: ['upstreams', i, 'service'],
            message: `${service} is no name that could be resolved`,
            remedy: 'Add "listen", or capture the calls ("capture.outbound").',
          },
        ]
      : [],
  );
  const { proxy } = settings.discovery;
  const doors = [
    ...settings.upstreams.map(({ listen }, i) => ({ listen, path: ['upstreams', i, 'listen'] })),
    ...(proxy === undefined ? [] : [{ listen: proxy, path: ['discovery', 'proxy'] }]),
  ];
  const open = doors.flatMap(({ listen, path }): Complaint[] =>
    listen === undefined || 'path' in listen || isLoopback(listen.address)
      ? []
      : [
          {
            code: RULE,
            path,
            message: `${formatSocketAddress(listen)} is not a loopback address: every machine that reaches it could call with this host's identity`,
            remedy: `Write 127.0.0.1:${listen.port}, or another address in 127.0.0.0/8 or ::1.`,
          },
        ],
  );
  return [...nameless, ...open];
}
