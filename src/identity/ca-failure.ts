/** What a failed request to a CA means, in words for the host's operator. */
import { TrysailError } from '../lib/errors.ts';
import { type CaAddress, formatCaAddress } from './ca-address.ts';

/** gRPC's status codes that this file tells apart. */
const CANCELLED = 1;
const DEADLINE_EXCEEDED = 4;
const RESOURCE_EXHAUSTED = 8;
const UNAVAILABLE = 14;

/** Codes that mean: asking again without a change is useless. */
const REFUSALS: Readonly<Record<number, string>> = {
  3: 'CA_REQUEST_INVALID',
  7: 'CA_REFUSED',
  16: 'CA_UNAUTHENTICATED',
};

/**
 * A gRPC status as an error: CA_UNREACHABLE, CA_BUSY, CA_UNTRUSTED, CLOCK_BEHIND, CLOCK_AHEAD, CA_REFUSED, CA_UNAUTHENTICATED,
 * CA_REQUEST_INVALID or CA_FAILED.
 */
export function caFailure(
  address: CaAddress,
  error: { readonly code: number; readonly details: string },
): TrysailError {
  const where = formatCaAddress(address);
  const { code } = error;
  // Of grpc-js, which ends its sentence by a heading with nothing below it.
  const details = error.details.replace(/\.? Resolution note:\s*$/, '');
  const refusal = REFUSALS[code];
  if (refusal !== undefined) {
    return new TrysailError(refusal, `the CA at ${where} refused: ${details}`, { cause: error });
  }
  if (code === UNAVAILABLE && /not yet valid/i.test(details)) {
    return new TrysailError('CLOCK_BEHIND', `the certificate of the CA at ${where} is not valid yet: ${details}`, {
      cause: error,
      remedy: "Set this host's clock (it seems to be behind), or the CA's.",
    });
  }
  if (code === UNAVAILABLE && /certificate has expired/i.test(details)) {
    return new TrysailError('CLOCK_AHEAD', `the certificate of the CA at ${where} has expired: ${details}`, {
      cause: error,
      remedy: "Set this host's clock (it seems to be ahead), or restart the CA if its own clock was wrong.",
    });
  }
  if (code === UNAVAILABLE && /certificate|altname|self.signed/i.test(details)) {
    return new TrysailError('CA_UNTRUSTED', `the server at ${where} is not the CA that this host trusts: ${details}`, {
      cause: error,
      remedy:
        'Check identity.ca.address, and trustDomain in meshconfig.yaml; if the CA was made anew, join with a new token.',
    });
  }
  if (code === RESOURCE_EXHAUSTED || code === DEADLINE_EXCEEDED) {
    return new TrysailError('CA_BUSY', `the CA at ${where} has no time for this host: ${details}`, {
      cause: error,
      remedy: 'Wait: the host asks again, later and later. If it goes on, see to the load of the CA and the network.',
    });
  }
  if (code === UNAVAILABLE || code === CANCELLED) {
    return new TrysailError('CA_UNREACHABLE', `the CA at ${where} does not answer: ${details}`, {
      cause: error,
      remedy: 'Check that the CA runs, its address, and the firewalls in between; certificates in use stay valid.',
    });
  }
  return new TrysailError('CA_FAILED', `the CA at ${where} failed: ${details}`, {
    cause: error,
    remedy: "Look into the CA's log.",
  });
}
