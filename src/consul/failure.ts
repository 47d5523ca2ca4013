/** Turns whatever goes wrong between us and Consul into an error that names the address, the reason and the remedy. */
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';

/** What was asked, for the error's text. */
export interface Asked {
  /** Consul's address as the user wrote it. */
  readonly address: string;
  /** Such as `GET /v1/health/service/reviews`. */
  readonly what: string;
  /** The ACL rule that this needs, in Consul's notation. */
  readonly needs?: string | undefined;
}

const TLS_CODE = /CERT|SSL|TLS|EPROTO|ISSUER|SIGNATURE|CRL|HOSTNAME/;

/** The error of a request that got no answer at all. */
export function connectionFailure(asked: Asked, cause: unknown): TrysailError {
  const code = errorCode(cause) ?? '';
  const about = `Consul at ${asked.address} (${asked.what})`;
  if (code === 'EPROTO' && /wrong version number/i.test(errorMessage(cause)))
    return new TrysailError('CONSUL_TLS', `${about}: what answers there does not speak TLS.`, {
      remedy: 'Write http://, or name the port of Consul’s HTTPS (8501 by habit).',
      cause,
    });
  if (TLS_CODE.test(code))
    return new TrysailError('CONSUL_TLS', `${about}: TLS failed: ${errorMessage(cause).trim()}.`, {
      remedy:
        'Check consul.caFile, certFile and keyFile, and that the address is one of the names in Consul’s certificate.',
      cause,
    });
  const remedy: Readonly<Record<string, string>> = {
    ENOENT: 'Check the socket’s path in consul.address and that Consul has `addresses { http = "unix://…" }`.',
    EACCES: 'Let the agent’s user open the socket (`unix_sockets { group, mode }` in Consul’s configuration).',
    ENOTFOUND: 'Check the host name: consul.address in agent.yaml, --consul of a command.',
  };
  return new TrysailError('CONSUL_UNREACHABLE', `${about} cannot be reached: ${errorMessage(cause)}.`, {
    remedy:
      remedy[code] ??
      'Check that the Consul agent runs and listens there: consul.address in agent.yaml, --consul of a command.',
    cause,
  });
}

/** The error of a request that took too long. */
export function timeoutFailure(asked: Asked, ms: number): TrysailError {
  return new TrysailError('CONSUL_TIMEOUT', `Consul at ${asked.address} did not answer ${asked.what} in ${ms} ms.`, {
    remedy: 'Check the load of the Consul agent and the network to its servers.',
  });
}

/** The error of an answer that is not what Consul's API promises. */
export function answerFailure(asked: Asked, why: string, cause?: unknown): TrysailError {
  return new TrysailError('CONSUL_ANSWER_INVALID', `Consul at ${asked.address} (${asked.what}): ${why}.`, {
    remedy: 'Check that consul.address is Consul’s HTTP API and not another program or a proxy in front of it.',
    cause,
  });
}

/** The error of an answer that is larger than the limit. */
export function sizeFailure(asked: Asked, limit: number): TrysailError {
  return new TrysailError(
    'CONSUL_ANSWER_TOO_LARGE',
    `Consul at ${asked.address} (${asked.what}): the answer is larger than ${limit} bytes.`,
    { remedy: 'Split the service, or find out who registers so much.' },
  );
}

/** The error of an answer with an error status. `body` is Consul's own sentence. */
export function statusFailure(asked: Asked, status: number, body: string): TrysailError {
  const said = body.replaceAll(/\s+/g, ' ').trim().slice(0, 300);
  const about = `Consul at ${asked.address} refused ${asked.what}: ${status} ${said}`.trimEnd();
  if (status === 403 || (status === 401 && asked.needs !== undefined))
    return new TrysailError('CONSUL_ACL_DENIED', `${about}.`, {
      remedy:
        asked.needs === undefined
          ? 'Give the token in consul.tokenFile the policy in docs/consul.md.'
          : `Give the token in consul.tokenFile: ${asked.needs} (see docs/consul.md).`,
    });
  if (status === 429)
    return new TrysailError('CONSUL_BUSY', `${about}.`, {
      remedy: 'Raise `limits { http_max_conns_per_client }` of the Consul agent.',
    });
  if (status >= 500 && /no cluster leader|no known consul servers|rpc error/i.test(said))
    return new TrysailError('CONSUL_NO_LEADER', `${about}.`, {
      remedy: 'Check `consul operator raft list-peers` and the network between the Consul agent and its servers.',
    });
  if (status === 400 && /https server/i.test(said))
    return new TrysailError('CONSUL_TLS', `${about}.`, { remedy: 'Write https:// in consul.address.' });
  return new TrysailError('CONSUL_REFUSED', `${about}.`, {
    remedy: 'Look into the log of the Consul agent for the reason.',
  });
}
