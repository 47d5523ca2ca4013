/** Everything of the agent that talks to Consul: the client, the catalogue's watch, and this host's registrations. */
import { type ConsulClient, createConsulClient } from '../consul/client.ts';
import { tokenFromFile } from '../consul/token-file.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import type { GatewayRole } from '../model/host.ts';
import type { ServiceName } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { Registrar } from '../register/registrar.ts';
import type { CatalogueState } from '../sources/catalogue-state.ts';
import { CatalogueWatcher } from '../sources/catalogue-watcher.ts';
import { interestOf } from '../sources/interest.ts';
import { EMPTY_RESOURCES, type ResourceSet } from '../sources/resource-set.ts';
import { serviceKey } from './inbound-ways.ts';
import { localInstances } from './local-instances.ts';
import type { AgentSettings } from './settings.ts';

const FIRST_ANSWERS_POLL_MS = 2;
const PROXY_HEALTH_POLL_MS = 20;

export interface ConsulSideOptions {
  readonly settings: AgentSettings;
  readonly config: MeshConfig;
  /** Canonical hosts of the upstreams. */
  readonly upstreamHosts: readonly string[];
  /** The gateways that this host is. */
  readonly gateways: readonly GatewayRole[];
  /** What of settings peers may be told now. */
  readonly registrable: (settings: AgentSettings) => AgentSettings;
  readonly log: Log;
  readonly onCatalogue: (state: CatalogueState) => void;
}

/** A client of the Consul that agent.yaml names; opens no connection yet, and asks for the token at each request. */
export function clientOf({ consul }: Pick<AgentSettings, 'consul'>): ConsulClient {
  const { address, tokenFile, caFile, certFile, keyFile } = consul;
  const tls = {
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined ? {} : { certFile }),
    ...(keyFile === undefined ? {} : { keyFile }),
  };
  return createConsulClient({ address, tls, token: tokenFile === undefined ? undefined : tokenFromFile(tokenFile) });
}

/** Names that `Service` records give to services in Consul, by `namespace/name`. */
function recordedNames(resources: ResourceSet): ReadonlyMap<string, string> {
  return new Map(
    resources.serviceRecords.map(({ meta, consulName }) => [`${meta.namespace}/${meta.name}`, consulName]),
  );
}

/** What a host may register. */
function registeredOf({ services, gateways }: AgentSettings): readonly ServiceName[] {
  return [...services, ...gateways];
}

/** What of the agent's configuration may change while it runs. */
export type ConsulInterest = Pick<ConsulSideOptions, 'settings' | 'config' | 'upstreamHosts' | 'gateways'>;

export class ConsulSide {
  readonly watcher: CatalogueWatcher;
  readonly registrar: Registrar;
  #interest: ConsulInterest;
  #resources: ResourceSet = EMPTY_RESOURCES;
  /** By service (`namespace/name`): the settings that its registration is made of. */
  #registered: ReadonlyMap<string, AgentSettings>;
  #checksProxy = true;
  readonly #registrable: ConsulSideOptions['registrable'];
  readonly #client: ConsulClient;

  constructor(options: ConsulSideOptions) {
    const { settings, config, log, upstreamHosts, onCatalogue } = options;
    this.#interest = options;
    this.#registrable = options.registrable;
    this.#registered = new Map(registeredOf(settings).map((service) => [serviceKey(service), settings]));
    this.#client = clientOf(settings);
    this.watcher = new CatalogueWatcher({
      client: this.#client,
      config: config.catalogue,
      log: log.child({ room: 'catalogue' }),
      onChange: onCatalogue,
      // Upstreams that somebody wrote down are followed, however many; the limit is for what routes add to them.
      maxWatches: Math.max(settings.consul.maxWatches, upstreamHosts.length),
    });
    this.registrar = new Registrar({
      client: this.#client,
      log: log.child({ room: 'register' }),
      hostName: settings.host.name,
      instances: localInstances(options.registrable(settings), new Map()),
    });
  }

  /** Follows what these resources make interesting, and registers under the names that they give. */
  useResources(resources: ResourceSet): void {
    this.#resources = resources;
    this.#follow();
    this.#register();
  }

  /** Follows the upstreams of another configuration of this host. What is registered is for `registerAs` to say. */
  useInterest(interest: ConsulInterest): void {
    this.#interest = interest;
    this.#follow();
  }

  /**
   * Registers what these settings say from now on.
   * @param keep services (`namespace/name`) whose registration stays as it is for now: none, if they have none
   */
  registerAs(settings: AgentSettings, keep: ReadonlySet<string>): void {
    const next = new Map<string, AgentSettings>();
    for (const service of registeredOf(settings)) {
      const key = serviceKey(service);
      const source = keep.has(key) ? this.#registered.get(key) : settings;
      if (source !== undefined) next.set(key, source);
    }
    this.#registered = next;
    this.#checksProxy = true;
    this.#register();
  }

  /**
   * Waits, at most `ms`, until Consul has answered for every service of interest, or has failed to. What is on disk is as
   * old as the agent before: used without a wait, it would bring back endpoints that have changed since.
   */
  async firstAnswers(ms: number, signal: AbortSignal): Promise<void> {
    const end = performance.now() + ms;
    while (performance.now() < end) {
      const waiting = this.watcher
        .status()
        .services.some(({ answeredAtMs, error }) => answeredAtMs === undefined && error === undefined);
      if (!waiting || !(await sleep(FIRST_ANSWERS_POLL_MS, signal))) return;
    }
  }

  /**
   * Whether Consul has instances of a service of which this host follows nothing so far.
   * @throws TrysailError `CONSUL_…`, or the signal's reason
   */
  async exists(serviceHost: string, signal: AbortSignal): Promise<boolean> {
    const { config } = this.#interest;
    const resources = { ...this.#resources, virtualServices: [] };
    const [name] = interestOf({ config, resources, upstreamHosts: [serviceHost] });
    if (name === undefined) return false;
    const { value } = await this.#client.health(name, { stale: true, signal });
    return value.length > 0;
  }

  /** Registers anew what peers may be told by now. */
  review(): void {
    this.#register();
  }

  register(): void {
    this.registrar.start();
  }

  /** Takes this host's services out of Consul, those too that an earlier agent has registered; bounded. */
  async deregister(): Promise<void> {
    await this.registrar.deregister();
  }

  /**
   * Leaves the proxy's health out of the registrations until `registerAs`: its listener goes elsewhere, and Consul must
   * not look for it meanwhile. Waits, at most `ms`, until Consul has that.
   */
  async withoutProxyHealth(ms: number): Promise<void> {
    this.#checksProxy = false;
    this.#register();
    const end = performance.now() + ms;
    while (!this.registrar.status().current && performance.now() < end) await sleep(PROXY_HEALTH_POLL_MS);
  }

  /** Ends all work; what is registered stays. */
  close(): void {
    this.watcher.stop();
    this.registrar.stop();
    this.#client.close();
  }

  #follow(): void {
    const { settings, config, upstreamHosts, gateways } = this.#interest;
    const { services: localServices } = settings;
    this.watcher.setInterest(
      interestOf({ config, resources: this.#resources, upstreamHosts, gateways, localServices }),
    );
  }

  #register(): void {
    const names = recordedNames(this.#resources);
    this.registrar.setInstances(
      [...this.#registered].flatMap(([key, settings]) =>
        localInstances(this.#registrable(settings), names)
          .filter((instance) => serviceKey(instance) === key)
          .map((instance) => (this.#checksProxy ? instance : { ...instance, proxyHealth: undefined })),
      ),
    );
  }
}
