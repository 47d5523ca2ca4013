/** A gateway for what leaves the mesh: to the hosts of a wildcard, each resolved when it is asked for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { call, httpApplication } from '../translate/applications.ts';
import { testAuthority } from '../translate/certificates.ts';
import { startGateway } from './gateway-host.ts';
import { tlsCall } from './tls-call.ts';

function resource(kind: string, name: string, spec: string): string {
  return `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n---\n`;
}

test('a gateway to a wildcard', async (t) => {
  const authority = await testAuthority();
  const [http = 0, tls = 0, plainPort = 0, tlsPort = 0] = await freePorts(4);
  await httpApplication(t, plainPort, 'web');
  const { certificateChainPem: cert, privateKeyPem: key } = await authority.issue('x.localhost');
  const server = createServer({ key, cert }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(`asked for ${String(socket.servername)}`);
  });
  await new Promise<void>((resolve) => server.listen(tlsPort, '127.0.0.1', resolve));
  t.after(() => server.close());
  await startGateway(t, {
    authority,
    yaml:
      resource(
        'ServiceEntry',
        'wild',
        `{hosts: ['*.localhost'], resolution: DYNAMIC_DNS, ports: [{number: ${plainPort}, name: http, protocol: HTTP},
          {number: ${tlsPort}, name: tls, protocol: TLS}]}`,
      ) +
      resource(
        'Gateway',
        'egress',
        `{selector: {istio: ingressgateway}, servers: [
          {port: {number: ${http}, name: http, protocol: HTTP}, hosts: ['*.localhost']},
          {port: {number: ${tls}, name: tls, protocol: TLS}, hosts: ['*.localhost'], tls: {mode: PASSTHROUGH}}]}`,
      ) +
      resource(
        'VirtualService',
        'egress',
        `{hosts: ['*.localhost'], gateways: [egress],
          http: [{route: [{destination: {host: '*.localhost', port: {number: ${plainPort}}}}]}],
          tls: [{match: [{sniHosts: ['*.localhost']}], route: [{destination: {host: '*.localhost', port: {number: ${tlsPort}}}}]}]}`,
      ),
  });
  await eventually('TLS goes to the name that is asked for', async () =>
    assert.equal(await tlsCall(tls, 'x.localhost'), 'asked for x.localhost'),
  );
  assert.equal(await tlsCall(tls, 'x.example.com'), undefined);
  const { status, body } = await call(http, { headers: { host: `y.localhost:${plainPort}` } });
  assert.equal(status, 200, body);
  assert.equal((await call(http, { headers: { host: `127.0.0.1:${plainPort}` } })).status, 404);
});
