/** Endpoints that are Unix sockets. */

const SCHEME = 'unix://';

/** The path of an endpoint's address such as `unix:///run/app.sock` (`@name` for one without a file); undefined for others. */
export function socketPath(address: string): string | undefined {
  return address.startsWith(SCHEME) ? address.slice(SCHEME.length) : undefined;
}
