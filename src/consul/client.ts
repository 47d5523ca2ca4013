/** The client that the other rooms use: one object for one Consul agent. */

import { parseConsulAddress } from './address.ts';
import { type AgentApi, createAgentApi } from './agent-api.ts';
import {
  type Answer,
  answerOf,
  fieldsOf,
  jsonOf,
  listOf,
  type ReadOptions,
  readParameters,
  textsOf,
} from './answer.ts';
import { type HealthEntry, healthEntryOf } from './health.ts';
import { createKvStore, type KvStore } from './kv.ts';
import type { ConsulTls } from './tls-agents.ts';
import { createTransport } from './transport.ts';

/** Some ten thousand instances of one service. */
const MAX_HEALTH_BYTES = 32 * 1024 * 1024;

export interface ConsulOptions {
  /** `http://host:port`, `https://host:port` or `unix:///path`. */
  readonly address: string;
  /** Asked before every request; see `tokenFromFile`. */
  readonly token?: (() => Promise<string | undefined>) | undefined;
  /** For https. */
  readonly tls?: ConsulTls | undefined;
}

/** All functions reject with TrysailError `CONSUL_…` (failure.ts) or, when their signal aborts, with its reason. */
export interface ConsulClient {
  /** As the user wrote it. */
  readonly address: string;
  /** All instances of a service with their checks, whatever their health. An unknown service is an empty list. */
  health(service: string, options?: ReadOptions): Promise<Answer<readonly HealthEntry[]>>;
  /** The names of all services that the token can see, with their tags. */
  catalogServices(options?: ReadOptions): Promise<Answer<ReadonlyMap<string, readonly string[]>>>;
  /** Whether the servers know this instance of a service, by the id of its registration. */
  catalogHas(service: string, id: string, signal?: AbortSignal): Promise<boolean>;
  readonly kv: KvStore;
  readonly agent: AgentApi;
  /** Ends all connections; requests in flight fail. */
  close(): void;
}

/**
 * A client; it connects with its first request and as often as needed after that.
 * @throws TrysailError `CONSUL_ADDRESS_INVALID`
 */
export function createConsulClient(options: ConsulOptions): ConsulClient {
  const parsed = parseConsulAddress(options.address);
  const transport = createTransport(parsed, options);
  const address = parsed.text;
  return {
    address,
    async health(service, read = {}) {
      const path = `/v1/health/service/${encodeURIComponent(service)}`;
      const needs = 'service_prefix "" { policy = "read" } and node_prefix "" { policy = "read" }';
      const { signal } = read;
      const reply = await transport.send({
        method: 'GET',
        path,
        ...readParameters(read),
        maxBytes: MAX_HEALTH_BYTES,
        signal,
        needs,
      });
      const asked = { address, what: `GET ${path}` };
      return answerOf(reply, listOf(jsonOf(reply, asked), asked).map(healthEntryOf));
    },
    async catalogServices(read = {}) {
      const path = '/v1/catalog/services';
      const needs = 'service_prefix "" { policy = "read" }';
      const reply = await transport.send({ method: 'GET', path, ...readParameters(read), signal: read.signal, needs });
      const services = fieldsOf(jsonOf(reply, { address, what: `GET ${path}` }));
      return answerOf(reply, new Map(Object.entries(services).map(([name, tags]) => [name, textsOf(tags)])));
    },
    async catalogHas(service, id, signal) {
      const path = `/v1/catalog/service/${encodeURIComponent(service)}`;
      const query = { stale: true, filter: `ServiceID == ${JSON.stringify(id)}` };
      const needs = 'service_prefix "" { policy = "read" } and node_prefix "" { policy = "read" }';
      const reply = await transport.send({ method: 'GET', path, query, signal, needs });
      const asked = { address, what: `GET ${path}` };
      return listOf(jsonOf(reply, asked), asked).length > 0;
    },
    kv: createKvStore(transport, address),
    agent: createAgentApi(transport, address),
    close: () => transport.close(),
  };
}
