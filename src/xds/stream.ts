/** One stream of one client: reads its requests, decides what it is sent and when. Knows nothing of gRPC. */

import { errorMessage } from '../lib/errors.ts';
import { FullStateSubscription } from './full-state-subscription.ts';
import { NamedSubscription } from './named-subscription.ts';
import { FOLLOWED_BY, gateFor, STAGES } from './ordering.ts';
import { COLLECTIVE_TYPES } from './prepared-resource.ts';
import {
  type ClientNode,
  type DeltaRequest,
  decodeDeltaRequest,
  decodeNode,
  decodeSotwRequest,
  type SotwRequest,
} from './request.ts';
import { TYPE_URL } from './resource.ts';
import type { ResponseEncoder } from './response.ts';
import type {
  AcknowledgeEvent,
  ClientStatus,
  ClientTypeStatus,
  OverdueEvent,
  RejectEvent,
  XdsCounters,
} from './status.ts';
import { type Outgoing, type Subscription, TooManyNames } from './subscription.ts';
import { TypeTable } from './type-table.ts';
import { Warming } from './warming.ts';

/** Why a stream is ended by the server. */
export type Refusal = 'INVALID_ARGUMENT' | 'PERMISSION_DENIED' | 'RESOURCE_EXHAUSTED';

export interface StreamOptions {
  readonly mode: 'sotw' | 'delta';
  /** The only type on this stream; undefined when types are aggregated. */
  readonly onlyType: string | undefined;
  readonly allowSecrets: boolean;
  readonly announceMissingSecrets: boolean;
  readonly maxNames: number;
  readonly ackTimeoutMs: number;
  readonly stageTimeoutMs: number;
}

/** What a stream shares with the others. */
export interface StreamEnvironment {
  readonly encoder: ResponseEncoder;
  readonly counters: { -readonly [K in keyof XdsCounters]: number };
  table(typeUrl: string): TypeTable | undefined;
  generation(): number;
  /** Ask for a `flush` soon. */
  schedule(stream: XdsStream): void;
  write(bytes: Buffer): void;
  end(refusal: Refusal, message: string): void;
  onReject(event: RejectEvent): void;
  onAcknowledge(event: AcknowledgeEvent): void;
  onOverdue(event: OverdueEvent): void;
}

/** The most types that are not served and that a client may nevertheless ask for. */
const MAX_FOREIGN_TYPES = 32;

export class XdsStream {
  readonly connectedAt = Date.now();
  readonly mode: 'sotw' | 'delta';
  readonly #options: StreamOptions;
  readonly #environment: StreamEnvironment;
  readonly subscriptions = new Map<string, Subscription>();
  readonly warming = new Warming();
  node: ClientNode | undefined;
  #closed = false;

  constructor(options: StreamOptions, environment: StreamEnvironment) {
    this.mode = options.mode;
    this.#options = options;
    this.#environment = environment;
  }

  /** Takes one request and sends what it calls for. */
  receive(bytes: Buffer): void {
    if (this.#closed) return;
    let handle: () => void;
    try {
      handle = this.mode === 'delta' ? this.#readDelta(bytes) : this.#readSotw(bytes);
    } catch (error) {
      this.#refuse('INVALID_ARGUMENT', `the request cannot be read: ${errorMessage(error)}`);
      return;
    }
    try {
      handle();
    } catch (error) {
      if (!(error instanceof TooManyNames)) throw error;
      this.#refuse('RESOURCE_EXHAUSTED', error.message);
    }
    this.flush();
  }

  /** Sends what may be sent, in the order of the stages. */
  flush(): void {
    if (this.#closed) return;
    const nowMs = performance.now();
    for (const typeUrl of STAGES) {
      const subscription = this.subscriptions.get(typeUrl);
      if (subscription !== undefined) this.#send(subscription, nowMs);
    }
    if (this.subscriptions.size === 1 || this.#foreignTypes() > 0) {
      for (const [typeUrl, subscription] of this.subscriptions)
        if (!STAGES.includes(typeUrl)) this.#send(subscription, nowMs);
    }
  }

  /** Counts answers that are overdue, and lets what waited for them go on. */
  sweep(nowMs: number): void {
    const { ackTimeoutMs, stageTimeoutMs } = this.#options;
    for (const subscription of this.subscriptions.values()) {
      const { inFlight } = subscription;
      if (inFlight === undefined || subscription.overdue || nowMs - inFlight.sentAtMs < ackTimeoutMs) continue;
      subscription.overdue = true;
      this.#environment.counters.overdue += 1;
      this.#environment.onOverdue({
        ...this.#event(subscription),
        version: inFlight.version,
        waitedMs: nowMs - inFlight.sentAtMs,
      });
    }
    this.warming.expire(nowMs - stageTimeoutMs);
    this.flush();
  }

  /** Renews what this client would let expire. */
  heartbeat(typeUrl: string): void {
    this.subscriptions.get(typeUrl)?.heartbeat();
    this.flush();
  }

  get upToDate(): boolean {
    for (const subscription of this.subscriptions.values()) if (!subscription.upToDate) return false;
    return true;
  }

  status(): ClientStatus {
    const types: Record<string, ClientTypeStatus> = {};
    for (const [typeUrl, subscription] of this.subscriptions) types[typeUrl] = subscription.status();
    return {
      nodeId: this.node?.id ?? '',
      nodeCluster: this.node?.cluster ?? '',
      userAgent: this.node?.userAgent ?? '',
      connectedAt: this.connectedAt,
      mode: this.mode,
      types,
      upToDate: this.upToDate,
    };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const subscription of this.subscriptions.values()) subscription.close();
    this.subscriptions.clear();
    this.warming.clear();
  }

  #readSotw(bytes: Buffer): () => void {
    const request = decodeSotwRequest(
      bytes,
      (typeUrl) => this.subscriptions.get(this.#options.onlyType ?? typeUrl)?.rawNames ?? new Uint8Array(),
    );
    this.#meet(request.node);
    return () => this.#receiveSotw(request);
  }

  #readDelta(bytes: Buffer): () => void {
    const request = decodeDeltaRequest(bytes);
    this.#meet(request.node);
    return () => this.#receiveDelta(request);
  }

  /** Only the first request of a stream need say who the client is. */
  #meet(node: Uint8Array | undefined): void {
    if (this.node === undefined && node !== undefined) this.node = decodeNode(node);
  }

  #receiveSotw(request: SotwRequest): void {
    const opened = this.#open(request.typeUrl);
    if (opened === undefined) return;
    const { subscription, isFirst } = opened;
    // Everything is repeated in the answer to the response that this client has not read yet.
    if (!isFirst && subscription.lastNonce !== '' && request.nonce !== subscription.lastNonce) {
      this.#environment.counters.stale += 1;
      return;
    }
    if (!isFirst) this.#answer(subscription, request.nonce, request.error);
    if (request.names === undefined) return;
    subscription.rawNames = Buffer.from(request.rawNames);
    if (subscription instanceof FullStateSubscription) {
      subscription.setNames(request.names, isFirst ? request.version : undefined);
    } else if (subscription instanceof NamedSubscription) {
      subscription.setNames(request.names);
    }
  }

  #receiveDelta(request: DeltaRequest): void {
    const opened = this.#open(request.typeUrl);
    if (opened === undefined) return;
    const { subscription, isFirst } = opened;
    if (request.nonce !== '' && !isFirst) this.#answer(subscription, request.nonce, request.error);
    if (subscription instanceof NamedSubscription) {
      subscription.changeNames(request.subscribe, request.unsubscribe, isFirst ? request.initialVersions : undefined);
    }
  }

  /** The subscription that a request speaks of, made if it is the first of its type. */
  #open(requestedType: string): { readonly subscription: Subscription; readonly isFirst: boolean } | undefined {
    const { onlyType } = this.#options;
    const typeUrl = requestedType === '' ? (onlyType ?? '') : requestedType;
    if (typeUrl === '') {
      this.#refuse('INVALID_ARGUMENT', 'a request on an aggregated stream must name its type_url');
      return undefined;
    }
    if (onlyType !== undefined && typeUrl !== onlyType) {
      this.#refuse('INVALID_ARGUMENT', `this service serves ${onlyType}, not ${typeUrl}`);
      return undefined;
    }
    const existing = this.subscriptions.get(typeUrl);
    if (existing !== undefined) return { subscription: existing, isFirst: false };
    if (typeUrl === TYPE_URL.secret && !this.#options.allowSecrets) {
      this.#refuse('PERMISSION_DENIED', 'secrets are served over a Unix socket only');
      return undefined;
    }
    const table = this.#environment.table(typeUrl);
    if (table === undefined && this.#foreignTypes() >= MAX_FOREIGN_TYPES) {
      this.#refuse('RESOURCE_EXHAUSTED', 'too many types that are not served here');
      return undefined;
    }
    const subscription = this.#subscribe(table ?? new TypeTable(typeUrl));
    this.subscriptions.set(typeUrl, subscription);
    return { subscription, isFirst: true };
  }

  #subscribe(table: TypeTable): Subscription {
    const environment = this.#environment;
    const features = this.node?.features ?? [];
    const supportsTtl =
      features.includes('xds.config.supports-resource-ttl') &&
      (this.mode === 'delta' || features.includes('xds.config.supports-resource-in-sotw'));
    const context = {
      encoder: environment.encoder,
      supportsTtl,
      announceMissing: table.typeUrl !== TYPE_URL.secret || this.#options.announceMissingSecrets,
      maxNames: this.#options.maxNames,
      generation: () => environment.generation(),
      wake: () => environment.schedule(this),
    };
    return this.mode === 'sotw' && COLLECTIVE_TYPES.has(table.typeUrl)
      ? new FullStateSubscription(table, context)
      : new NamedSubscription(this.mode, table, context);
  }

  #answer(subscription: Subscription, nonce: string, error: string | undefined): void {
    if (subscription.inFlight === undefined || nonce !== subscription.inFlight.nonce) {
      if (nonce !== subscription.lastNonce) this.#environment.counters.stale += 1;
      return;
    }
    const answered = subscription.answered(error);
    if (answered === undefined) return;
    const { entries, sentAtMs, version } = answered.inFlight;
    if (subscription.table.typeUrl === TYPE_URL.endpoint) this.warming.end(entries, sentAtMs);
    const { counters } = this.#environment;
    if (answered.rejection === undefined) {
      counters.acknowledged += 1;
      this.#environment.onAcknowledge({ ...this.#event(subscription), version });
    } else {
      counters.rejected += 1;
      if (subscription.table.typeUrl === TYPE_URL.cluster)
        this.#stopWarming(subscription.table, answered.rejection.names);
      this.#environment.onReject({ ...this.#event(subscription), ...answered.rejection });
    }
  }

  /** Clusters that were refused will not ask for their endpoints. */
  #stopWarming(clusters: TypeTable, names: readonly string[]): void {
    for (const name of names) this.warming.giveUp(clusters.find(name)?.references() ?? []);
  }

  #event(subscription: Subscription): { readonly nodeId: string; readonly typeUrl: string } {
    return { nodeId: this.node?.id ?? '', typeUrl: subscription.table.typeUrl };
  }

  #send(subscription: Subscription, nowMs: number): void {
    if (subscription.inFlight !== undefined) return;
    const outgoing = subscription.compose(gateFor(subscription, this, this.#options, nowMs), nowMs);
    if (outgoing === undefined) return;
    this.#environment.counters.responsesSent += 1;
    this.#environment.counters.bytesSent += outgoing.response.bytes.length;
    this.#environment.write(outgoing.response.bytes);
    this.#followUp(subscription, outgoing, nowMs);
  }

  /**
   * A cluster that was changed waits for its endpoints, and a listener for its routes, though they are as before; the
   * client does not ask, since it is subscribed to them.
   */
  #followUp({ table, inFlight }: Subscription, { deliveries, carriesChanges }: Outgoing, nowMs: number): void {
    const nextType = FOLLOWED_BY[table.typeUrl];
    const next = nextType === undefined ? undefined : this.subscriptions.get(nextType);
    if (next === undefined) return;
    const available = this.#environment.table(next.table.typeUrl);
    for (const { resource, before } of deliveries) {
      const earlier = nextType === TYPE_URL.route ? (before?.references() ?? []) : [];
      for (const name of resource.references()) {
        if (!earlier.includes(name)) next.sendAgain(name);
        if (nextType === TYPE_URL.endpoint && carriesChanges && available?.has(name) === true)
          this.warming.begin(name, inFlight?.generation ?? 0, nowMs);
      }
    }
  }

  #foreignTypes(): number {
    let count = 0;
    for (const typeUrl of this.subscriptions.keys()) if (!STAGES.includes(typeUrl)) count += 1;
    return count;
  }

  #refuse(refusal: Refusal, message: string): void {
    this.#environment.end(refusal, message);
    this.close();
  }
}
