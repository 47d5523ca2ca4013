/** The fleet's configuration as this host takes it, together with the resource files that lie here. */

import type { ConsulClient } from '../consul/client.ts';
import { FleetFollower } from '../fleet/follower.ts';
import type { HostGateway } from '../fleet/host-status.ts';
import { readPublicKeys } from '../fleet/signing-key.ts';
import type { Log } from '../lib/log.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { serviceOfConsulName, serviceOfHost } from '../model/host-names.ts';
import { interestOf } from '../sources/interest.ts';
import { mergeResources } from '../sources/merge-resources.ts';
import { EMPTY_RESOURCES, type ResourceSet } from '../sources/resource-set.ts';
import { hostCalling } from '../translate/view/calling.ts';
import { type Configuration, upstreamHosts } from './configuration.ts';
import { clientOf } from './consul-side.ts';
import { FleetAcknowledger, type FleetAcknowledgerOptions } from './fleet-acknowledger.ts';
import { type TrustedNamespaces, trustedResources } from './fleet-trust.ts';
import type { FleetSettings } from './settings.ts';

/** Each namespace is one blocking query. */
const MAX_NAMESPACES = 64;

export interface FleetSideOptions {
  readonly configuration: Configuration;
  readonly fleet: FleetSettings;
  readonly log: Log;
  /** Called with all that holds, after a change. */
  readonly onChange: (resources: ResourceSet) => void;
}

/** The namespaces whose word counts here, whatever it speaks of. */
export function trustedNamespaces({ settings, config, host }: Configuration): TrustedNamespaces {
  const own: { readonly namespace: string }[] = [
    ...host.workloads,
    ...(host.callers ?? []),
    ...settings.services,
    ...(host.gateways ?? []),
  ];
  const { namespaces = [] } = settings.mesh.fleet ?? {};
  // A host that runs nothing calls in somebody's name all the same.
  const isCaller = host.upstreams.length > 0 || (host.namedUpstreams ?? []).length > 0;
  if (isCaller) own.push(hostCalling(host).unnamed);
  return new Set([config.rootNamespace, ...own.map(({ namespace }) => namespace), ...namespaces]);
}

/** Gateways of this host that nobody finds in Consul: who publishes learns of them by the host's word. */
function unregisteredGateways({ host }: Configuration): readonly HostGateway[] {
  return (host.gateways ?? [])
    .filter(({ registered }) => registered === undefined)
    .map(({ namespace, name, labels }) => ({ namespace, name, labels: { ...labels } }));
}

/** The namespaces whose resources can matter to this host. */
export function namespacesOf(configuration: Configuration, resources: ResourceSet): ReadonlySet<string> {
  const { config, host } = configuration;
  const upstreams = upstreamHosts(host);
  const called = upstreams.flatMap((name) => serviceOfHost(config, name)?.namespace ?? []);
  // The destinations of routes are called too, and their own namespace says how.
  const destinations = [
    ...interestOf({ config, resources, upstreamHosts: upstreams, gateways: host.gateways ?? [] }),
  ].map((name) => serviceOfConsulName(name).namespace);
  return new Set([...trustedNamespaces(configuration), ...called, ...destinations]);
}

export class FleetSide {
  readonly follower: FleetFollower;
  readonly #client: ConsulClient;
  readonly #onChange: (resources: ResourceSet) => void;
  readonly #log: Log;
  #acknowledger: FleetAcknowledger | undefined;
  #configuration: Configuration;
  #local: ResourceSet = EMPTY_RESOURCES;
  #merged: ResourceSet | undefined;
  #started = false;

  private constructor(options: FleetSideOptions, client: ConsulClient, follower: FleetFollower) {
    this.#configuration = options.configuration;
    this.#onChange = options.onChange;
    this.#log = options.log;
    this.#client = client;
    this.follower = follower;
  }

  /** Begins to follow, with what is kept on disk. @throws TrysailError `FLEET_KEY_…` for a root that cannot be read */
  static async start(options: FleetSideOptions): Promise<FleetSide> {
    const { configuration, fleet, log } = options;
    const roots = await readPublicKeys(fleet.trustFile);
    const client = clientOf(configuration.settings);
    const follower = new FleetFollower({
      kv: client.kv,
      host: configuration.settings.host.name,
      roots,
      stateDir: configuration.settings.paths.state,
      maxNamespaces: MAX_NAMESPACES,
      log,
      onChange: () => side.#changed(),
    });
    const side = new FleetSide(options, client, follower);
    await follower.start(namespacesOf(configuration, EMPTY_RESOURCES));
    side.#merge();
    // What is kept may lead to further namespaces.
    side.#follow();
    side.#started = true;
    return side;
  }

  /** All that holds now, resource files included where they count. */
  get resources(): ResourceSet {
    return this.#merged ?? EMPTY_RESOURCES;
  }

  get diagnostics(): readonly Diagnostic[] {
    return [...this.follower.diagnostics, ...(this.#acknowledger?.diagnostics ?? [])];
  }

  /** Says from now on in Consul what this host has in force. */
  acknowledge(envoy: Pick<FleetAcknowledgerOptions, 'refused' | 'isSettled'>): void {
    this.#acknowledger = new FleetAcknowledger({
      ...envoy,
      kv: this.#client.kv,
      host: this.#configuration.settings.host.name,
      hasFleet: () => this.follower.meshRevision !== undefined,
      followed: () => this.follower.status(),
      gateways: () => unregisteredGateways(this.#configuration),
      log: this.#log,
      onChange: () => this.#onChange(this.resources),
    });
    this.#acknowledger.kick();
  }

  /** Takes the resource files of this host. Returns all that holds. */
  useLocal(local: ResourceSet): ResourceSet {
    this.#local = local;
    this.#merge();
    this.#follow();
    return this.resources;
  }

  /**
   * Goes on with another configuration of this host. Resolves when Consul has answered for the namespaces that are new, so
   * that their rules are there before their services are called; after `ms` in any case.
   */
  async configure(next: Configuration, ms: number, signal: AbortSignal): Promise<void> {
    this.#configuration = next;
    const before = this.#merged;
    this.#merge();
    const isMore = this.#follow();
    if (this.#merged !== before) this.#onChange(this.resources);
    this.#acknowledger?.kick();
    if (isMore) await this.follower.firstAnswers(ms, signal);
  }

  async stop(): Promise<void> {
    await Promise.all([this.follower.stop(), this.#acknowledger?.stop()]);
    this.#client.close();
  }

  #changed(): void {
    if (!this.#started) return;
    this.#acknowledger?.noteBefore();
    this.#merge();
    this.#follow();
    this.#onChange(this.resources);
    this.#acknowledger?.kick();
  }

  /** Returns whether that changed what is followed. */
  #follow(): boolean {
    return this.follower.setNamespaces(namespacesOf(this.#configuration, this.resources));
  }

  #merge(): void {
    const { resources, localResources } = this.follower;
    const local = localResources === 'allow' ? this.#local : this.#ignored();
    const trusted = trustedNamespaces(this.#configuration);
    const counting = trustedResources(resources, trusted, this.#configuration.config);
    this.#merged = mergeResources(this.#merged, counting, local);
  }

  /** No resource files, and the word that there are some. */
  #ignored(): ResourceSet {
    const { diagnostics, ...lists } = this.#local;
    const count = Object.values(lists).flat().length;
    if (count === 0) return { ...EMPTY_RESOURCES, diagnostics };
    const file = this.#configuration.settings.mesh.resourcesDir;
    const ignored: Diagnostic = {
      code: 'TRY0707',
      severity: 'warning',
      object: file,
      message: `its ${count} resources do not count: this host takes the fleet's configuration`,
      remedy:
        'Publish them with "trysail apply" and remove the files, or let files count with "trysail fleet local-resources allow".',
    };
    return { ...EMPTY_RESOURCES, diagnostics: [...diagnostics, ignored] };
  }
}
