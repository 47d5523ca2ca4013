/** The local Consul agent's own API: services, checks, the agent itself. https://developer.hashicorp.com/consul/api-docs/agent */

import type { TrysailError } from '../lib/errors.ts';
import { fieldsOf, jsonOf, numberOf, textMapOf, textOf, textsOf } from './answer.ts';
import { statusFailure } from './failure.ts';
import { type CheckStatus, checkStatusOf } from './health.ts';
import type { ConsulReply, Transport } from './transport.ts';

/** A check as registered; fields and durations in Consul's own notation. */
export interface CheckDefinition {
  readonly CheckID: string;
  readonly Name: string;
  readonly Notes?: string;
  readonly Status?: CheckStatus;
  readonly HTTP?: string;
  readonly Method?: string;
  readonly Header?: Readonly<Record<string, readonly string[]>>;
  readonly TLSSkipVerify?: boolean;
  readonly TCP?: string;
  readonly GRPC?: string;
  readonly GRPCUseTLS?: boolean;
  readonly TTL?: string;
  readonly Interval?: string;
  readonly Timeout?: string;
  /** Since Consul 1.7, as the next. */
  readonly SuccessBeforePassing?: number;
  readonly FailuresBeforeCritical?: number;
  /** Bytes of the check's own output that Consul keeps. */
  readonly OutputMaxSize?: number;
  readonly DeregisterCriticalServiceAfter?: string;
}

/** A service as registered; fields in Consul's own notation. */
export interface ServiceDefinition {
  readonly ID: string;
  readonly Name: string;
  readonly Address: string;
  readonly Port: number;
  readonly Tags: readonly string[];
  readonly Meta: Readonly<Record<string, string>>;
  readonly Weights: { readonly Passing: number; readonly Warning: number };
  readonly EnableTagOverride: boolean;
  readonly Checks: readonly CheckDefinition[];
}

/** A service as the agent knows it. */
export interface AgentService {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  readonly weights: { readonly passing: number; readonly warning: number };
}

/** A check as the agent knows it. */
export interface AgentCheck {
  readonly id: string;
  readonly serviceId: string;
  readonly status: CheckStatus;
  /** What the check printed last; empty where the agent discards it. */
  readonly output: string;
}

/** What the agent says of itself. */
export interface AgentSelf {
  readonly node: string;
  readonly datacenter: string;
  readonly version: string;
  readonly server: boolean;
}

export interface AgentApi {
  /** Needs `agent_prefix "" { policy = "read" }` where ACLs are on. */
  self(signal?: AbortSignal): Promise<AgentSelf>;
  /** The services registered with this agent that the token may read, by id. */
  services(signal?: AbortSignal): Promise<ReadonlyMap<string, AgentService>>;
  /** The checks registered with this agent that the token may read, by id. */
  checks(signal?: AbortSignal): Promise<ReadonlyMap<string, AgentCheck>>;
  /**
   * One service with the hash of its content; undefined when the agent does not have it. With `hash` it blocks until the
   * content differs, at most `waitMs`.
   */
  service(
    id: string,
    options?: { readonly hash?: string; readonly waitMs?: number; readonly signal?: AbortSignal | undefined },
  ): Promise<{ readonly hash: string } | undefined>;
  /** Registers or replaces a service; checks of it that the definition lacks are removed. */
  register(definition: ServiceDefinition, signal?: AbortSignal): Promise<void>;
  /** Removes a service; that it is not there is no error. */
  deregister(id: string, options?: { readonly name?: string; readonly signal?: AbortSignal }): Promise<void>;
  /** Reports a TTL check. False: the agent does not have this check. */
  updateCheck(id: string, status: CheckStatus, output: string, signal?: AbortSignal): Promise<boolean>;
}

function serviceOf(value: unknown): AgentService {
  const service = fieldsOf(value);
  const weights = fieldsOf(service['Weights']);
  return {
    id: textOf(service['ID']),
    name: textOf(service['Service']),
    address: textOf(service['Address']),
    port: numberOf(service['Port']),
    tags: textsOf(service['Tags']),
    meta: textMapOf(service['Meta']),
    weights: { passing: numberOf(weights['Passing'], 1), warning: numberOf(weights['Warning'], 1) },
  };
}

/** Whether Consul says that it does not have the thing: 404 in newer versions, a 500 with a sentence in earlier ones. */
function isUnknown(reply: ConsulReply): boolean {
  return reply.status === 404 || /unknown (service|check)|does not have associated TTL/i.test(reply.body.toString());
}

/** The agent's API behind a transport. All functions reject with TrysailError `CONSUL_…`. */
export function createAgentApi(transport: Transport, address: string): AgentApi {
  async function read(path: string, needs: string, signal: AbortSignal | undefined): Promise<unknown> {
    const reply = await transport.send({ method: 'GET', path, signal, needs });
    return jsonOf(reply, { address, what: `GET ${path}` });
  }

  const refusal = (reply: ConsulReply, what: string): TrysailError =>
    statusFailure({ address, what }, reply.status, reply.body.toString('utf8', 0, 2000));

  return {
    async self(signal) {
      const config = fieldsOf(
        fieldsOf(await read('/v1/agent/self', 'agent_prefix "" { policy = "read" }', signal))['Config'],
      );
      return {
        node: textOf(config['NodeName']),
        datacenter: textOf(config['Datacenter']),
        version: textOf(config['Version']),
        server: config['Server'] === true,
      };
    },
    async services(signal) {
      const found = fieldsOf(await read('/v1/agent/services', 'service_prefix "" { policy = "read" }', signal));
      return new Map(Object.entries(found).map(([id, value]) => [id, serviceOf(value)]));
    },
    async checks(signal) {
      const found = fieldsOf(await read('/v1/agent/checks', 'service_prefix "" { policy = "read" }', signal));
      return new Map(
        Object.entries(found).map(([id, value]) => {
          const check = fieldsOf(value);
          return [
            id,
            {
              id,
              serviceId: textOf(check['ServiceID']),
              status: checkStatusOf(check['Status']),
              output: textOf(check['Output']).slice(0, 512),
            },
          ];
        }),
      );
    },
    async service(id, { hash, waitMs = 5000, signal } = {}) {
      const path = `/v1/agent/service/${encodeURIComponent(id)}`;
      const reply = await transport.send({
        method: 'GET',
        path,
        query: { hash, wait: hash === undefined ? undefined : `${waitMs}ms` },
        timeoutMs: Math.ceil(waitMs * (1 + 1 / 16)) + 10_000,
        signal,
        accept: [404],
        needs: 'service_prefix "" { policy = "read" }',
      });
      if (reply.status === 404) return undefined;
      return { hash: textOf(fieldsOf(jsonOf(reply, { address, what: `GET ${path}` }))['ContentHash']) };
    },
    async register(definition, signal) {
      await transport.send({
        method: 'PUT',
        path: '/v1/agent/service/register',
        query: { 'replace-existing-checks': 'true' },
        body: JSON.stringify(definition),
        signal,
        needs: `service "${definition.Name}" { policy = "write" }`,
      });
    },
    async deregister(id, { name, signal } = {}) {
      const path = `/v1/agent/service/deregister/${encodeURIComponent(id)}`;
      const reply = await transport.send({
        method: 'PUT',
        path,
        signal,
        accept: [404, 500],
        needs: name === undefined ? 'service_prefix "" { policy = "write" }' : `service "${name}" { policy = "write" }`,
      });
      if (reply.status >= 300 && !isUnknown(reply)) throw refusal(reply, `PUT ${path}`);
    },
    async updateCheck(id, status, output, signal) {
      const path = `/v1/agent/check/update/${encodeURIComponent(id)}`;
      const reply = await transport.send({
        method: 'PUT',
        path,
        body: JSON.stringify({ Status: status, Output: output }),
        signal,
        accept: [404, 500],
        needs: 'write on the service of the check',
      });
      if (reply.status < 300) return true;
      if (isUnknown(reply)) return false;
      throw refusal(reply, `PUT ${path}`);
    },
  };
}
