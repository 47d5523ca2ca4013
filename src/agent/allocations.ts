/** What a host gives away once and keeps over restarts: addresses of services by name, and capture ports of callers. */
import { join } from 'node:path';
import { parseAddressRange } from '../lib/address-range.ts';
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Host, NamedUpstream } from '../model/host.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { hasIpv6 } from '../platform/vm/ipv6.ts';
import type { CalledService } from './called-services.ts';
import { assignCapturePorts, capturedCallers } from './callers.ts';
import { readCapturePorts, saveCapturePorts } from './capture-ports-file.ts';
import { ServiceAddresses } from './service-addresses-file.ts';
import type { AgentSettings } from './settings.ts';
import { toHost } from './settings-host.ts';

/** Every address that agent.yaml names: a service by name at one of them would be another's on some port. */
function writtenAddresses({ host, services, upstreams, envoy, dns }: AgentSettings): ReadonlySet<string> {
  const listens = upstreams.flatMap(({ listen }) => (listen === undefined || 'path' in listen ? [] : [listen]));
  const applications = services.flatMap(({ inbound }) => inbound?.application ?? []);
  const all = [...listens, ...applications, envoy.healthListener, dns.listen];
  return new Set([host.address, ...all.map(({ address }) => address)]);
}

export class Allocations {
  readonly #stateDir: string;
  readonly #log: Log;
  #ports: ReadonlyMap<string, number>;
  #called: readonly CalledService[] = [];
  #ranges = '';
  #addresses: ServiceAddresses | undefined;

  private constructor(stateDir: string, ports: ReadonlyMap<string, number>, log: Log) {
    this.#stateDir = stateDir;
    this.#ports = ports;
    this.#log = log;
  }

  /** Reads what an earlier agent gave away. Never rejects. */
  static async open(stateDir: string, log: Log): Promise<Allocations> {
    return new Allocations(stateDir, await readCapturePorts(stateDir), log);
  }

  /** Ports of callers by `CapturedCaller.key`, of those too that are gone. */
  get capturePorts(): ReadonlyMap<string, number> {
    return this.#ports;
  }

  get diagnostics(): readonly Diagnostic[] {
    return this.#addresses?.diagnostics ?? [];
  }

  /** What is called by name, beside what agent.yaml says; `host` has it from now on. */
  call(services: readonly CalledService[]): void {
    this.#called = services;
  }

  /**
   * The host of these settings, with everything that it is given, which is saved before anybody hears of it.
   * @throws TrysailError `IDENTITY_INVALID`
   */
  async host(settings: AgentSettings, config: MeshConfig): Promise<Host> {
    await this.#assignPorts(settings);
    return this.#host(settings, config, async (addresses) => addresses.save());
  }

  /**
   * As `host`, for an agent that is still to come: nothing is saved.
   * @throws TrysailError `IDENTITY_INVALID`
   */
  async planned(settings: AgentSettings, config: MeshConfig): Promise<Host> {
    this.#ports = assignCapturePorts(
      capturedCallers(settings).map(({ key }) => key),
      this.#ports,
    );
    return this.#host(settings, config, () => Promise.resolve());
  }

  async #host(
    settings: AgentSettings,
    config: MeshConfig,
    keep: (addresses: ServiceAddresses) => Promise<void>,
  ): Promise<Host> {
    const bare = this.#withCalled(toHost(settings, config), settings, () => []);
    const named = (bare.namedUpstreams ?? []).map(({ serviceHost }) => serviceHost);
    if (named.length > 0 || this.#addresses !== undefined) await keep(await this.#assignAddresses(settings, named));
    const addresses = this.#addresses;
    const serviceAddresses = (serviceHost: string): readonly string[] => addresses?.of(serviceHost) ?? [];
    const withoutIpv6 = !(await hasIpv6());
    const host = toHost(settings, config, { capturePorts: this.#ports, serviceAddresses, withoutIpv6 });
    return this.#withCalled(host, settings, serviceAddresses);
  }

  /** The host with what is called by name although agent.yaml does not say so. */
  #withCalled(host: Host, settings: AgentSettings, addresses: (serviceHost: string) => readonly string[]): Host {
    const { namedUpstreams = [] } = host;
    const more = this.#called
      .filter(({ host: called }) => namedUpstreams.every(({ serviceHost }) => serviceHost !== called))
      .map(
        ({ host: serviceHost, isFresh, isLeaving }): NamedUpstream => ({
          serviceHost,
          addresses: addresses(serviceHost),
          ...(isFresh ? { isFresh } : {}),
          ...(isLeaving ? { isLeaving } : {}),
          ...(settings.mode === 'observe' ? { mode: 'observe' as const } : {}),
        }),
      );
    return more.length === 0 ? host : { ...host, namedUpstreams: [...namedUpstreams, ...more] };
  }

  async #assignPorts(settings: AgentSettings): Promise<void> {
    const keys = capturedCallers(settings).map(({ key }) => key);
    if (keys.every((key) => this.#ports.has(key))) return;
    this.#ports = assignCapturePorts(keys, this.#ports);
    try {
      await saveCapturePorts(this.#stateDir, this.#ports);
    } catch (error) {
      this.#log.error({ error: errorMessage(error) }, 'the ports of captured callers cannot be saved');
    }
  }

  async #assignAddresses(settings: AgentSettings, hosts: readonly string[]): Promise<ServiceAddresses> {
    const { dns } = settings;
    const ranges = dns.addresses.join(' ');
    if (this.#addresses === undefined || ranges !== this.#ranges) {
      this.#ranges = ranges;
      this.#addresses = await ServiceAddresses.open({
        file: join(this.#stateDir, 'addresses.json'),
        ranges: dns.addresses.map(parseAddressRange),
      });
    }
    this.#addresses.call(hosts, writtenAddresses(settings));
    return this.#addresses;
  }
}
