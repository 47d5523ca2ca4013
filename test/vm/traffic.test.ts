/**
 * Istio's traffic API on hosts as packaged, with real systemd: rules published from an operator's machine, captured
 * calls of services that nobody declared, limits, calls that leave the mesh, a gateway at ports 80 and 443, and all of it
 * after a reboot with Consul away.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';
import { testAuthority } from '../translate/certificates.ts';
import { canBootMachines } from './capability.ts';
import { type FleetHost, startFleet, untilWell } from './fleet.ts';
import type { Machine } from './machine.ts';
import { statusOf } from './mesh-machines.ts';
import { envoyPid } from './packages.ts';

const reason = await canBootMachines();
const EDGE = '10.77.0.4';
const KEYS = '/root/keys';
const HEAD = 'http://127.0.0.1:8500/v1/kv/trysail/v1/ns/default/head';
const CREDENTIALS = '/etc/trysail/credentials';
/** Where the units of the calling host are asked to call somebody. */
const PORTS = { shop: 8080, till: 8081, stranger: 8090 } as const;
type Caller = keyof typeof PORTS;
const ENVOY = { concurrency: 1, drainTime: '2s' };
const CHECK = { http: '/health', interval: '1s' };

/** Two identities, by their units, and a program that is no part of the mesh. It declares nothing that it calls. */
const CALLING: FleetHost = {
  name: 'app',
  number: 3,
  applications: Object.entries(PORTS).map(([unit, port]) => ({ unit, listen: `127.0.0.1:${port}` })),
  agent: {
    services: [
      { name: 'shop', unit: 'shop.service' },
      { name: 'till', unit: 'till.service' },
    ],
    capture: { outbound: 'listed' },
    dns: { enabled: true },
    envoy: ENVOY,
  },
};

const SERVING: FleetHost = {
  name: 'edge',
  number: 4,
  applications: [
    { unit: 'reviews', listen: '127.0.0.1:8001' },
    { unit: 'ratings', listen: '127.0.0.1:8002' },
  ],
  agent: {
    services: [
      { name: 'reviews', port: 9080, protocol: 'HTTP', application: '127.0.0.1:8001', check: CHECK },
      { name: 'ratings', namespace: 'team', port: 9081, protocol: 'HTTP', application: '127.0.0.1:8002', check: CHECK },
    ],
    gateways: [{ name: 'ingressgateway' }],
    envoy: ENVOY,
  },
};

const REVIEWS = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
  - match: [{ uri: { prefix: /broken } }]
    fault: { abort: { httpStatus: 503, percentage: { value: 100 } } }
    route: [{ destination: { host: reviews } }]
  - route: [{ destination: { host: reviews } }]
`;
const RATINGS = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ratings, namespace: team }
spec:
  hosts: [ratings]
  http:
  - fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }
    route: [{ destination: { host: ratings } }]
`;
const LIMIT = `
apiVersion: trysail.dev/v1
kind: RateLimit
metadata: { name: reviews }
spec:
  host: reviews
  limits:
  - { name: few, match: [{ path: { exact: /limited } }], by: [caller], requests: 2, per: 1h }
`;
const PARTNER = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: partner }
spec:
  hosts: [api.partner.example]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: 8443 }]
  endpoints: [{ address: 10.77.0.2 }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: partner }
spec:
  host: api.partner.example
  trafficPolicy:
    tls: { mode: SIMPLE, credentialName: partner }
`;
const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: public }
spec:
  selector: { istio: ingressgateway }
  servers:
  - port: { number: 80, name: http, protocol: HTTP }
    hosts: [www.example.com]
    tls: { httpsRedirect: true }
  - port: { number: 443, name: https, protocol: HTTPS }
    hosts: [www.example.com]
    tls: { mode: SIMPLE, credentialName: www }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: www }
spec:
  hosts: [www.example.com]
  gateways: [public]
  http:
  - route: [{ destination: { host: reviews } }]
`;

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Puts a file of a credential where the package wants it, as its page says. */
async function putCredential(host: Machine, name: string, files: Readonly<Record<string, string>>): Promise<void> {
  await host.run(`install -d -m 0750 -g trysail ${CREDENTIALS}/${name}`);
  for (const [file, text] of Object.entries(files)) {
    const path = `${CREDENTIALS}/${name}/${file}`;
    await host.write(`${path}.new`, text, 0o640);
    await host.run(`chgrp trysail ${path}.new && mv ${path}.new ${path}`);
  }
}

test('traffic rules on packaged hosts', { skip: reason ?? false, timeout: 1_200_000 }, async (t) => {
  const began = Date.now();
  const fleet = await startFleet(t, {
    hosts: [CALLING, SERVING],
    allow: ['default/*', 'team/*'],
    meshConfig: { outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } },
  });
  const [hub, app, edge] = [fleet.server, fleet.host('app'), fleet.host('edge')];
  t.diagnostic(`three machines made, installed and joined in ${((Date.now() - began) / 1000).toFixed(1)} s`);

  /** Has a unit of the calling host call a URL. */
  const call = async (from: Caller, url: string): Promise<Answer> => {
    const query = new URLSearchParams({ url });
    return JSON.parse(
      await app.run(`curl -sS -m 15 'http://127.0.0.1:${PORTS[from]}/call?${query.toString()}'`),
    ) as Answer;
  };
  const statusFrom = async (from: Caller, url: string): Promise<number> => (await call(from, url)).status;
  const codes = async (host: Machine): Promise<readonly string[]> =>
    (await statusOf(host)).diagnostics.map(({ code }) => code);
  /** On the operator's machine, which is no host of the mesh. */
  const publish = async (yaml: string, args = `--key ${KEYS}/admin.key`): Promise<string> => {
    await hub.write('/root/change.yaml', yaml);
    return hub.run(`trysail apply -f /root/change.yaml --root ${KEYS}/fleet-root.pub.pem ${args}`);
  };
  const atRevision = async (host: Machine, namespace: string, revision: number): Promise<void> => {
    await eventually(`${host.name} has revision ${revision} of ${namespace}`, async () => {
      const { fleet: followed } = await statusOf(host);
      const one = followed?.namespaces.find((known) => known.namespace === namespace);
      assert.deepEqual([one?.revision, one?.current], [revision, true], JSON.stringify(followed));
    });
  };

  await t.test('an operator begins the fleet’s configuration, and hosts that have its root take it', async () => {
    await hub.run(`trysail fleet init --dir ${KEYS}`);
    const root = await hub.run(`cat ${KEYS}/fleet-root.pub.pem`);
    for (const host of [app, edge]) {
      await host.write('/etc/trysail/fleet-root.pem', root);
      await host.run('systemctl restart trysail');
    }
    await publish(REVIEWS);
    for (const host of [app, edge]) await atRevision(host, 'default', 1);
    const well = [true, 'passing', 'passing'];
    await eventually(
      'Consul’s checks of the services pass',
      async () => {
        const { services } = await statusOf(edge);
        const states = services.map(({ registered, application, proxy }) => [
          registered,
          application.state,
          proxy.state,
        ]);
        assert.deepEqual(states, [well, well]);
      },
      60_000,
    );
    await untilWell(app);
    await eventually('nothing for the gateway yet', async () => assert.deepEqual(await codes(edge), ['TRY0420']));
  });

  await t.test('a team publishes in its own namespace, and nowhere else', async () => {
    await hub.run(`cd ${KEYS} && trysail publisher key team.key && trysail publisher add team --namespace team \
      --kind VirtualService --public-key team.pub.pem --root fleet-root.pub.pem --root-key fleet-root.key`);
    await assert.rejects(
      publish(REVIEWS.replace('503', '500'), `--key ${KEYS}/team.key`),
      /The publisher team may not publish in the namespace default/,
    );
    await publish(RATINGS, `--key ${KEYS}/team.key`);
    await atRevision(app, 'default', 1);
  });

  await t.test('the first call of a service that nobody has declared is answered, as whoever calls', async () => {
    assert.deepEqual((await statusOf(app)).learnt, []);
    await eventually('names of the mesh are Envoy’s', async () => app.run('resolvectl domain trysail0 | grep -w mesh'));
    const { status, body } = await call('shop', 'http://reviews.default.mesh:9080/');
    assert.equal(status, 200, body);
    assert.match(body, /"name": "reviews".*URI=spiffe:\/\/prod\.example\/ns\/default\/sa\/shop"/);
    assert.match((await call('till', 'http://reviews.default.mesh:9080/')).body, /sa\/till"/);
  });

  await t.test(
    'what a namespace says that the host had nothing to do with holds for the very first request',
    async () => {
      assert.ok(!(await statusOf(app)).fleet?.namespaces.some(({ namespace }) => namespace === 'team'));
      assert.equal(await statusFrom('shop', 'http://ratings.team.mesh:9081/'), 418);
      const { learnt = [], diagnostics } = await statusOf(app);
      const names = learnt.map(({ service }) => service).toSorted();
      assert.deepEqual(names, ['ratings.team.mesh', 'reviews.default.mesh']);
      assert.deepEqual(diagnostics, []);
      assert.match(await app.run('trysail status'), /ratings\.team\.mesh +\d+ ?m?s ago/);
      await atRevision(app, 'team', 1);
    },
  );

  await t.test('names that nobody has do not exist, and what nobody describes is not called', async () => {
    assert.equal((await app.try('timeout 30 getent ahostsv4 nobody.default.mesh')).code, 2);
    assert.match((await call('shop', 'http://nobody.default.mesh:9080/')).body, /Name or service not known/);
    await hub.run('systemd-run -q --unit=plain --setenv=NAME=plain --setenv=LISTEN=0.0.0.0:9999 python3 /fleet/app.py');
    const plain = `http://${hub.address}:9999/`;
    await eventually('who is not captured calls it', async () =>
      assert.equal(await statusFrom('stranger', plain), 200),
    );
    assert.equal(await statusFrom('shop', plain), 0);
    assert.equal(await statusFrom('shop', `http://${EDGE}:9080/`), 0);
  });

  await t.test('a fault and a limit come from the fleet’s configuration, and go with it', async () => {
    const plain = 'http://reviews.default.mesh:9080/';
    const [broken, limited] = [`${plain}broken`, `${plain}limited`];
    assert.equal(await statusFrom('shop', broken), 503);
    assert.equal(await statusFrom('shop', plain), 200);
    await publish(LIMIT);
    await atRevision(edge, 'default', 2);
    await eventually('it is counted', async () => assert.equal(await statusFrom('shop', limited), 429));
    assert.equal(await statusFrom('till', limited), 200, 'a bucket for each caller');
    assert.equal(await statusFrom('shop', plain), 200);
    await hub.run(
      `trysail delete ratelimit/reviews -n default --key ${KEYS}/admin.key --root ${KEYS}/fleet-root.pub.pem`,
    );
    await eventually('nothing is limited', async () => assert.equal(await statusFrom('shop', limited), 200));
    await atRevision(edge, 'default', 3);
  });

  const authority = await testAuthority();
  await t.test(
    'plain HTTP of an application leaves the host as TLS, and other hosts at the same address not at all',
    async () => {
      const own = await authority.issue('api.partner.example');
      await hub.write('/root/partner/tls.crt', own.certificateChainPem);
      await hub.write('/root/partner/tls.key', own.privateKeyPem, 0o600);
      await hub.run('systemd-run -q --unit=partner python3 /fleet/partner.py 0.0.0.0:8443 /root/partner');
      await hub.run(
        'systemd-run -q --unit=port80 --setenv=NAME=port80 --setenv=LISTEN=0.0.0.0:80 python3 /fleet/app.py',
      );
      await app.run(`echo ${hub.address} api.partner.example other.example >>/etc/hosts`);
      const other = 'http://other.example/';
      await eventually('it is there', async () => assert.equal(await statusFrom('stranger', other), 200));
      assert.equal(await statusFrom('stranger', 'http://api.partner.example/v1'), 200, 'the program at port 80');

      await publish(PARTNER);
      await atRevision(app, 'default', 4);
      await eventually('nobody vouches for the server yet', async () =>
        assert.equal(await statusFrom('shop', 'http://api.partner.example/v1'), 503),
      );
      assert.match(await app.try('trysail status').then(({ stdout }) => stdout), /IST0101 .*partner/);
      await putCredential(app, 'partner', { 'ca.crt': authority.rootPem });
      await eventually('it is called', async () => {
        const { status, body } = await call('shop', 'http://api.partner.example/v1');
        assert.equal(status, 200, body);
        const seen = { tls: 'TLSv1.3', sni: 'api.partner.example', host: 'api.partner.example', path: '/v1' };
        assert.deepEqual(JSON.parse(body), seen);
      });
      assert.equal(await statusFrom('shop', other), 502);
    },
  );

  const rootFile = join(await tempDir(t), 'root.pem');
  /** A call from outside of the mesh: status and where it is sent on to, or curl's exit code. */
  const visit = async (scheme: 'http' | 'https', root: string): Promise<string> => {
    await writeFile(rootFile, root);
    const to = [443, 80].flatMap((port) => ['--resolve', `www.example.com:${port}:${EDGE}`]);
    const said = ['-sS', '-m', '5', '-o', '/dev/null', '-w', '%{http_code} %{redirect_url}', '--cacert', rootFile];
    const { code, stdout } = await fleet.network.run('curl', ...said, ...to, `${scheme}://www.example.com/`);
    return code === 0 ? stdout.trim() : `curl ${code}`;
  };
  const visited = async (expected: string, root: string): Promise<void> =>
    eventually(`a visitor gets ${expected}`, async () => assert.equal(await visit('https', root), expected));
  const second = await testAuthority();
  const cannotConnect = 'curl 7';
  const notTrusted = /^curl (35|60)$/;

  await t.test('a gateway that resources of the fleet make: ports 80 and 443, a certificate of the host', async () => {
    assert.equal(await visit('https', authority.rootPem), cannotConnect);
    await publish(GATEWAY);
    await atRevision(edge, 'default', 5);
    await eventually('it is said', async () => assert.ok((await codes(edge)).includes('IST0101')));
    await eventually('it refuses without its certificate', async () =>
      assert.match(await visit('https', authority.rootPem), /^curl (35|56)$/),
    );
    const pair = await authority.issue('www.example.com');
    await putCredential(edge, 'www', { 'tls.crt': pair.certificateChainPem, 'tls.key': pair.privateKeyPem });
    await visited('200', authority.rootPem);
    assert.equal(await visit('http', authority.rootPem), '301 https://www.example.com/');
    await untilWell(edge);
    const served = (await statusOf(edge)).gateways?.map(({ listen, serving }) => `${listen} ${serving}`).toSorted();
    assert.deepEqual(served, ['0.0.0.0:443 true', '0.0.0.0:80 true']);
  });

  await t.test(
    'a new certificate is taken without a restart; half of it, or one that cannot be read, changes nothing',
    async () => {
      const envoy = await envoyPid(edge);
      const pair = await second.issue('www.example.com');
      await putCredential(edge, 'www', { 'tls.crt': pair.certificateChainPem });
      await eventually('it is said', async () => assert.ok((await codes(edge)).includes('IST0161')));
      await visited('200', authority.rootPem);
      await putCredential(edge, 'www', { 'tls.key': pair.privateKeyPem });
      await visited('200', second.rootPem);
      assert.match(await visit('https', authority.rootPem), notTrusted);

      await edge.run(`chmod 0600 ${CREDENTIALS}/www/tls.key && chgrp root ${CREDENTIALS}/www/tls.key`);
      await eventually('it is said', async () =>
        assert.match((await edge.try('trysail status')).stdout, /IST0161 .*tls\.key cannot be read \(EACCES\)/),
      );
      await visited('200', second.rootPem);
      await edge.run(`chmod 0640 ${CREDENTIALS}/www/tls.key && chgrp trysail ${CREDENTIALS}/www/tls.key`);
      await untilWell(edge);
      assert.equal(await envoyPid(edge), envoy);
    },
  );

  await t.test('Envoy that may open no low ports: who is asked says so, and the rest serves', async () => {
    const folder = '/etc/systemd/system/trysail-envoy.service.d';
    await edge.write(`${folder}/ports.conf`, '[Service]\nAmbientCapabilities=\nCapabilityBoundingSet=\n');
    await edge.run('systemctl daemon-reload; systemctl restart trysail-envoy; systemctl start trysail');
    await eventually('the rest serves', async () => statusFrom('till', 'http://reviews.default.mesh:9080/'));
    const checked = (await edge.try('trysail check')).stdout;
    assert.match(checked, /error TRY1101 .*\b0\.0\.0\.0:443 is a privileged port .*CAP_NET_BIND_SERVICE/, checked);
    await eventually('status says it', async () =>
      assert.match((await edge.try('trysail status')).stdout, /TRY0101 .*443/),
    );
    assert.equal(await visit('https', second.rootPem), cannotConnect);
    await edge.run(
      `rm -r ${folder}/ports.conf; systemctl daemon-reload; systemctl restart trysail-envoy; systemctl start trysail`,
    );
    await visited('200', second.rootPem);
    await untilWell(edge);
  });

  await t.test(
    'a bypass takes what was learnt past the proxy, and says which rules of the fleet do not hold',
    async () => {
      const said = await app.run('trysail bypass ratings.team.mesh');
      assert.match(said, /VirtualService team\/ratings/);
      const { status, body } = await call('shop', 'http://ratings.team.mesh:9081/');
      assert.equal(status, 200, body);
      assert.match(body, /"name": "ratings".*"caller": null/);
      await app.run('trysail bypass ratings.team.mesh --end');
      await eventually('the rule holds again', async () =>
        assert.equal(await statusFrom('shop', 'http://ratings.team.mesh:9081/'), 418),
      );
    },
  );

  await t.test('who may write to Consul and has no key changes nothing', async () => {
    const head = await hub.run(`curl -sSf '${HEAD}?raw'`);
    await hub.write('/root/forged', head.replaceAll('www.example.com', 'evil.example.co'));
    assert.notEqual(await hub.run('cat /root/forged'), head);
    await hub.run(`curl -sSf -X PUT --data-binary @/root/forged ${HEAD}`);
    for (const host of [app, edge])
      await eventually('it is refused', async () => assert.ok((await codes(host)).includes('TRY0702')));
    await visited('200', second.rootPem);
    await hub.run("curl -sSf -X DELETE 'http://127.0.0.1:8500/v1/kv/trysail/v1/ns/team/?recurse'");
    await eventually('it is said', async () =>
      assert.match((await app.try('trysail status')).stdout, /TRY0702 .*team.* it is gone/),
    );
    assert.equal(await statusFrom('shop', 'http://ratings.team.mesh:9081/'), 418);
    assert.match(
      await hub.run(`trysail fleet repair --root ${KEYS}/fleet-root.pub.pem`),
      /default is at revision 5 again/,
    );
    await atRevision(edge, 'default', 5);
  });

  await t.test('after a reboot with Consul away rules, certificates and learnt services are as they were', async () => {
    await hub.run('systemctl stop consul');
    await Promise.all(
      [app, edge].map(async (host) => {
        await host.run('systemctl disable -q consul');
        await host.reboot();
      }),
    );
    for (const from of ['shop', 'till'] as const)
      await eventually(
        `${from} calls reviews`,
        async () =>
          assert.match((await call(from, 'http://reviews.default.mesh:9080/')).body, new RegExp(`sa/${from}"`)),
        60_000,
      );
    assert.equal(await statusFrom('shop', 'http://reviews.default.mesh:9080/broken'), 503);
    assert.equal(await statusFrom('shop', 'http://ratings.team.mesh:9081/'), 418);
    assert.equal(await statusFrom('shop', 'http://api.partner.example/v1'), 200);
    assert.equal(await statusFrom('shop', 'http://other.example/'), 502);
    assert.equal(await statusFrom('shop', `http://${hub.address}:9999/`), 0);
    await visited('200', second.rootPem);
    assert.equal(await visit('http', second.rootPem), '301 https://www.example.com/');
    assert.ok((await codes(app)).includes('TRY0704'));
    for (const host of [hub, app, edge]) await host.run('systemctl enable -q --now consul');
    await eventually(
      'a change after it',
      async () => {
        await publish(REVIEWS.replace('503', '504'));
        assert.equal(await statusFrom('shop', 'http://reviews.default.mesh:9080/broken'), 504);
      },
      60_000,
    );
  });
  t.diagnostic(`all of it in ${((Date.now() - began) / 1000).toFixed(1)} s`);
});
