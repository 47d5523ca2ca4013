/** Container engines on this host: published ports that would take ours, and bridges that agent.yaml names. */
import { finding, type HostCheck, type HostIo } from './host-check.ts';
import { count } from './listening.ts';

interface Published {
  readonly container: string;
  readonly port: number;
  readonly protocol: string;
}

const DOCKER_SOCKETS = ['/run/docker.sock', '/var/run/docker.sock', '/run/podman/podman.sock'] as const;

type Json = Readonly<Record<string, unknown>>;

function fields(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}

/** From the answer of `GET /containers/json` of Docker's API (Podman's is the same). */
export function publishedPorts(answer: unknown): readonly Published[] {
  if (!Array.isArray(answer)) return [];
  return answer.map(fields).flatMap(({ Names, Ports }) => {
    const [name] = Array.isArray(Names) ? Names.map(String) : [];
    return (Array.isArray(Ports) ? Ports.map(fields) : []).flatMap(({ PublicPort, Type }) =>
      typeof PublicPort === 'number'
        ? [{ container: (name ?? '?').replace(/^\//, ''), port: PublicPort, protocol: String(Type) }]
        : [],
    );
  });
}

async function engine(
  io: HostIo,
): Promise<{ readonly socket: string; readonly published: readonly Published[] | undefined } | undefined> {
  for (const socket of DOCKER_SOCKETS) {
    if ((await io.stat(socket)) === undefined) continue;
    const answer = await io.getJson(socket, '/containers/json');
    return { socket, published: answer === undefined ? undefined : publishedPorts(answer) };
  }
  return undefined;
}

export const CONTAINERS_CHECK: HostCheck = {
  name: 'containers',
  async run({ io, needs }) {
    const [found, containerd, links = []] = await Promise.all([
      engine(io),
      io.stat('/run/containerd/containerd.sock'),
      io.list('/sys/class/net'),
    ]);
    const missing = needs.interfaces.filter((name) => !links.includes(name));
    const findings = missing.map((name) =>
      finding(
        'TRY1124',
        'warning',
        `interface ${name}`,
        'agent.yaml names it and this host has none: nothing behind it is captured until it is there',
        'Start the container engine, or correct capture.interfaces in agent.yaml (ip link shows the names).',
      ),
    );
    if (found === undefined && containerd === undefined && needs.interfaces.length === 0)
      return { facts: ['no container engine'], findings: [] };
    const published = found?.published ?? [];
    for (const { container, port, protocol } of published) {
      const needed = needs.ports.find((each) => each.port === port && each.protocol === protocol);
      if (needed === undefined) continue;
      findings.push(
        finding(
          'TRY1123',
          'error',
          needed.object,
          `container ${container} publishes ${port}/${protocol}: its rules take the connections before Envoy`,
          `Publish it elsewhere (-p 127.0.0.1:<other port>:…), or choose another port in agent.yaml.`,
        ),
      );
    }
    const facts = [
      ...(found === undefined
        ? []
        : [
            found.published === undefined
              ? `an engine at ${found.socket} that does not answer us`
              : count(published.length, 'published port'),
          ]),
      ...(containerd === undefined ? [] : ['containerd runs']),
      ...(needs.interfaces.length === 0
        ? []
        : [`${needs.interfaces.length - missing.length} of ${count(needs.interfaces.length, 'interface')} there`]),
    ];
    return { facts, findings };
  },
};
