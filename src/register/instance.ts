/** What is to be registered: one service instance of this host, as the agent reads it from agent.yaml. */

/** How many equal results in a row Consul waits for before it believes them; absent: one. */
export interface CheckThresholds {
  readonly successesBeforePassing?: number;
  readonly failuresBeforeCritical?: number;
}

/** A health check of the application. Times in milliseconds. */
export type CheckSpec =
  /** Made by Consul: a GET that must answer with 2xx; 429 counts as a warning. */
  | ({
      readonly kind: 'http';
      readonly url: string;
      readonly headers?: readonly { readonly name: string; readonly value: string }[];
      readonly intervalMs: number;
      readonly timeoutMs: number;
    } & CheckThresholds)
  /** Made by Consul: a connection to `host:port`. */
  | ({
      readonly kind: 'tcp';
      readonly address: string;
      readonly intervalMs: number;
      readonly timeoutMs: number;
    } & CheckThresholds)
  /** Made by Consul: grpc.health.v1 on `host:port`; `service` empty asks for the server as a whole. */
  | ({
      readonly kind: 'grpc';
      readonly address: string;
      readonly service: string;
      readonly intervalMs: number;
      readonly timeoutMs: number;
    } & CheckThresholds)
  /** Made by the agent, without a shell: exit code 0 is passing, 1 warning, anything else and a time-out critical. */
  | {
      readonly kind: 'command';
      readonly command: readonly [string, ...string[]];
      readonly intervalMs: number;
      readonly timeoutMs: number;
    }
  /** Reported by the application, to Consul or through the agent, at least once in `ttlMs`. */
  | { readonly kind: 'ttl'; readonly ttlMs: number };

/** Envoy's static health listener, as Consul reaches it. */
export type ProxyHealth =
  | { readonly kind: 'http'; readonly url: string }
  /** `host:port`. */
  | { readonly kind: 'tcp'; readonly address: string };

export interface LocalInstance {
  readonly name: string;
  readonly namespace: string;
  /** The service's name in Consul; `consulNameOf` of its name and namespace unless its record says otherwise. */
  readonly consulName?: string;
  /** Unique among this Consul agent's services; `<consul name>-<host name>` unless said otherwise. */
  readonly id?: string;
  /** Where peers reach it. */
  readonly address: string;
  /** The port that peers dial: Envoy's, or the application's own. */
  readonly port: number;
  readonly tags: readonly string[];
  readonly version: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly weights: { readonly passing: number; readonly warning: number };
  /** Istio protocol name; undefined when it is to be detected. */
  readonly protocol: string | undefined;
  /** `region/zone/subzone`. */
  readonly locality: string | undefined;
  /** Whether the port takes mutual TLS. */
  readonly offersMtls: boolean;
  /** The port by which clients know the service, where it is not `port`. */
  readonly servicePort?: number;
  readonly check: CheckSpec | undefined;
  /** Undefined: Envoy is not between peers and the application. */
  readonly proxyHealth: ProxyHealth | undefined;
  /** After this time of being critical Consul removes the instance; at least a minute. Undefined: never. */
  readonly deregisterAfterMs: number | undefined;
}
