/** Two calls of a host that never end by themselves, one of HTTP and one of TCP, and how they ended. */
import { eventually } from '../support/eventually.ts';
import type { Machine } from './machine.ts';
import { CALL_PORT } from './pair.ts';

/** Starts both. */
export async function startStreams(host: Machine): Promise<void> {
  const http = `curl -sN -o /dev/null http://127.0.0.1:${CALL_PORT}/stream; echo $? >/root/http.end`;
  const tcp = `exec 3<>/dev/tcp/127.0.0.1/${CALL_PORT + 2}; cat <&3; echo $? >/root/tcp.end`;
  await host.run(`rm -f /root/*.end
    systemd-run -q --unit=http-stream --collect sh -c '${http}'
    systemd-run -q --unit=tcp-stream --collect bash -c '${tcp}'
    sleep 1; systemctl is-active http-stream tcp-stream`);
}

/** What `endsOfStreams` gives when both were closed and not reset: curl's code of a response that is not complete, and cat's. */
export const CLOSED = { http: 18, tcp: 0 } as const;

/** Waits for their ends: the exit codes of curl, and of cat, which fails when a connection is reset. */
export async function endsOfStreams(host: Machine): Promise<{ readonly http: number; readonly tcp: number }> {
  return eventually('the streams end', async () => {
    const [http, tcp] = (await host.run('cat /root/http.end /root/tcp.end')).trim().split('\n');
    return { http: Number(http), tcp: Number(tcp) };
  });
}
