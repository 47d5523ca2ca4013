/** A certificate authority for one test. */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { certificateSecret, ROOT_SECRET, validationSecret } from '../../src/translate/tls/secrets.ts';
import type { Resource } from '../../src/xds/resource.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const HOUR_MS = 3_600_000;

export interface KeyPairPem {
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
}

export interface TestAuthority {
  readonly rootPem: string;
  /** @param name a URI such as a SPIFFE id, or a DNS name */
  issue(name: string): Promise<KeyPairPem>;
  /** A list of these certificates as revoked ones, signed by the root. */
  revoke(...certificates: readonly KeyPairPem[]): Promise<string>;
  /** The SDS secrets of these identities, and the root's. */
  secrets(...identities: readonly string[]): Promise<Resource[]>;
}

async function keyPair(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

export async function testAuthority(): Promise<TestAuthority> {
  x509.cryptoProvider.set(webcrypto);
  const now = Date.now();
  const validity = { notBefore: new Date(now - HOUR_MS), notAfter: new Date(now + HOUR_MS) };
  const keys = await keyPair();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'O=test',
    keys,
    signingAlgorithm: ALGORITHM,
    ...validity,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  const rootPem = root.toString('pem');
  const issue = async (name: string): Promise<KeyPairPem> => {
    const own = await keyPair();
    const certificate = await x509.X509CertificateGenerator.create({
      subject: '',
      issuer: root.subject,
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: ALGORITHM,
      ...validity,
      extensions: [
        new x509.SubjectAlternativeNameExtension([{ type: name.includes('://') ? 'url' : 'dns', value: name }], true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      ],
    });
    const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', own.privateKey);
    return {
      certificateChainPem: certificate.toString('pem'),
      privateKeyPem: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'),
    };
  };
  const revoke = async (...certificates: readonly KeyPairPem[]): Promise<string> => {
    const list = await x509.X509CrlGenerator.create({
      issuer: root.subject,
      thisUpdate: validity.notBefore,
      nextUpdate: validity.notAfter,
      signingAlgorithm: ALGORITHM,
      signingKey: keys.privateKey,
      entries: certificates.map(({ certificateChainPem }) => ({
        serialNumber: new x509.X509Certificate(certificateChainPem).serialNumber,
        revocationDate: new Date(now),
        reason: x509.X509CrlReason.keyCompromise,
      })),
    });
    return x509.PemConverter.encode(list.rawData, 'X509 CRL');
  };
  const secrets = async (...identities: readonly string[]): Promise<Resource[]> => [
    ...(await Promise.all(identities.map(async (name) => certificateSecret({ name, ...(await issue(name)) })))),
    validationSecret({ name: ROOT_SECRET, rootsPem: rootPem }),
  ];
  return { rootPem, issue, revoke, secrets };
}
