/** What `trysail join` is asked to write into agent.yaml, from the short forms of its options. */
import { TrysailError } from '../lib/errors.ts';

/** A service or upstream in agent.yaml's own words. */
export type WrittenEntry = Readonly<Record<string, unknown>>;

/** Absent keys are left to the file or the defaults. */
export interface JoinSettings {
  readonly name?: string | undefined;
  readonly address?: string | undefined;
  readonly consulAddress?: string | undefined;
  /** `off`, `observe`, `outbound`, `full`. */
  readonly mode?: string | undefined;
  /** `namespace/account` of calls through loopback upstreams. */
  readonly callAs?: string | undefined;
  readonly services: readonly WrittenEntry[];
  readonly upstreams: readonly WrittenEntry[];
}

const SERVICE =
  /^(?:(?<namespace>[a-z0-9-]+)\/)?(?<name>[a-z0-9-]+)(?::(?<port>\d{1,5})(?:=(?<application>\d{1,5}|\S+:\d{1,5}))?)?$/;
const UPSTREAM =
  /^(?:(?<namespace>[a-z0-9-]+)\/)?(?<name>[A-Za-z0-9.-]+)(?::(?<port>\d{1,5}))?(?:=(?<listen>\d{1,5}|unix:\/\S+|\S+:\d{1,5}))?$/;

/** A port alone is one of loopback. */
function place(text: string): string {
  return /^\d+$/.test(text) ? `127.0.0.1:${text}` : text;
}

function invalid(option: string, text: string, example: string): TrysailError {
  return new TrysailError('JOIN_OPTION_INVALID', `${option}: "${text}" cannot be read`, {
    remedy: `Write it like ${example}; whatever else it needs, write into agent.yaml.`,
  });
}

/**
 * `orders`, `shop/orders:8080`, `orders:8080=9090`, `orders:8080=10.0.0.5:9090`: namespace, name, the port that peers
 * dial, where the application listens. Throws JOIN_OPTION_INVALID.
 */
export function parseService(text: string): WrittenEntry {
  const match = SERVICE.exec(text);
  if (match === null) throw invalid('--service', text, 'orders:8080=9090 (name:port=port of the application)');
  const { namespace, name, port, application } = match.groups ?? {};
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(application === undefined ? {} : { application: place(application) }),
  };
}

/**
 * `payments=9001`, `shop/payments:443=127.0.0.1:9001`, `payments=unix:/run/…`; without `=` it is called by its name.
 * Throws JOIN_OPTION_INVALID.
 */
export function parseUpstream(text: string): WrittenEntry {
  const match = UPSTREAM.exec(text);
  if (match === null)
    throw invalid('--upstream', text, 'payments=9001 (name=loopback port), or payments to call it by its name');
  const { namespace, name, port, listen } = match.groups ?? {};
  return {
    service: namespace === undefined ? name : { name, namespace },
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(listen === undefined ? {} : { listen: place(listen) }),
  };
}
