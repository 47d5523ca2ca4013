/** Signing: one function per kind of certificate, each saying exactly what stands in it. */
import 'reflect-metadata';
import { createPublicKey, randomBytes, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { SpiffeId } from '../model/spiffe-id.ts';
import type { CaMaterial } from './ca-directory.ts';
import { caSpiffeId } from './ca-id.ts';
import type { PrivateKey } from './private-key.ts';

/** The root lives ten years, as Istio's. */
const ROOT_LIFETIME_MS = 10 * 365 * 86_400_000;
/** Certificates begin this much in the past, for hosts whose clock is behind; at most a tenth of their life. */
const BACKDATE_MS = 120_000;
/**
 * Netscape's comment, an IA5String that every tool prints and no verifier acts on. Names the host, and its key, through
 * which a workload certificate was issued: revoking or replacing the host ends its renewals without a list of serials.
 */
const COMMENT_OID = '2.16.840.1.113730.1.13';
const COMMENT = /^trysail-host=([^;]+);key=([0-9a-f]{64})$/;

/** The host that a workload certificate was issued through. */
export interface IssuingHost {
  readonly host: string;
  /** SHA-256 of the host's public key, hexadecimal. */
  readonly keySha256: string;
}

type WebCryptoKey = webcrypto.CryptoKey;

async function importKey(key: PrivateKey): Promise<WebCryptoKey> {
  const object = key.keyObject();
  const der = new Uint8Array(object.export({ type: 'pkcs8', format: 'der' }));
  const algorithm =
    object.asymmetricKeyType === 'rsa'
      ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
      : { name: 'ECDSA', namedCurve: curveOf(object.asymmetricKeyDetails?.namedCurve) };
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, true, ['sign']);
}

function curveOf(name: string | undefined): string {
  return { secp384r1: 'P-384', secp521r1: 'P-521' }[name ?? ''] ?? 'P-256';
}

async function importPublicKey(spki: Buffer): Promise<WebCryptoKey> {
  const object = createPublicKey({ key: spki, type: 'spki', format: 'der' });
  const algorithm =
    object.asymmetricKeyType === 'rsa'
      ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
      : { name: 'ECDSA', namedCurve: curveOf(object.asymmetricKeyDetails?.namedCurve) };
  return webcrypto.subtle.importKey('spki', new Uint8Array(spki), algorithm, true, ['verify']);
}

/** 126 random bits, positive and of constant length in DER. */
function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

/** The PEM of a new self-signed root. */
export async function selfSignedRoot(key: PrivateKey, trustDomain: string): Promise<string> {
  const publicKey = await importPublicKey(key.publicKeyDer());
  const now = Date.now();
  const root = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ O: [trustDomain] }, { CN: ['Trysail root CA'] }],
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + ROOT_LIFETIME_MS),
    keys: { privateKey: await importKey(key), publicKey },
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(publicKey),
      new SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${trustDomain}` }]),
    ],
  });
  return `${root.toString('pem')}\n`;
}

/** A signed certificate. */
export interface Issued {
  readonly certificatePem: string;
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

interface Profile {
  readonly publicKey: Buffer;
  readonly names: JsonGeneralNames;
  readonly usages: readonly ExtendedKeyUsage[];
  readonly lifetimeMs: number;
  readonly extensions: readonly Extension[];
}

/** Signs with the key of one CA folder. */
export class CertificateAuthority {
  readonly material: CaMaterial;
  readonly #now: () => number;
  readonly #signingKey: WebCryptoKey;
  readonly #issuer: X509Certificate;
  readonly #authorityKeyId: AuthorityKeyIdentifierExtension;

  private constructor(
    material: CaMaterial,
    now: () => number,
    signingKey: WebCryptoKey,
    issuer: X509Certificate,
    authorityKeyId: AuthorityKeyIdentifierExtension,
  ) {
    this.material = material;
    this.#now = now;
    this.#signingKey = signingKey;
    this.#issuer = issuer;
    this.#authorityKeyId = authorityKeyId;
  }

  static async create(material: CaMaterial, now: () => number = () => Date.now()): Promise<CertificateAuthority> {
    const issuer = new X509Certificate(material.certificatePem);
    // A chain is only found by identifier if it is the issuer's own, whatever hash an operator's PKI used for it.
    const own = issuer.getExtension(SubjectKeyIdentifierExtension);
    const authorityKeyId =
      own === null
        ? await AuthorityKeyIdentifierExtension.create(issuer.publicKey)
        : new AuthorityKeyIdentifierExtension(own.keyId);
    return new CertificateAuthority(material, now, await importKey(material.privateKey), issuer, authorityKeyId);
  }

  /** For a workload: client and server, its SPIFFE id the only name, the host that asked as an extension. */
  async signWorkload(publicKey: Buffer, id: SpiffeId, host: IssuingHost, lifetimeMs: number): Promise<Issued> {
    return this.#sign({
      publicKey,
      names: [{ type: 'url', value: id }],
      usages: [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth],
      lifetimeMs,
      extensions: [new Extension(COMMENT_OID, false, ia5String(`trysail-host=${host.host};key=${host.keySha256}`))],
    });
  }

  /** For a host: a client only, so that nobody can serve with it. */
  async signHost(publicKey: Buffer, id: SpiffeId, lifetimeMs: number): Promise<Issued> {
    return this.#sign({
      publicKey,
      names: [{ type: 'url', value: id }],
      usages: [ExtendedKeyUsage.clientAuth],
      lifetimeMs,
      extensions: [],
    });
  }

  /** For the CA's own server: DNS names and IP addresses as configured, and the CA's id, which hosts look for. */
  async signServer(publicKey: Buffer, names: JsonGeneralNames, lifetimeMs: number): Promise<Issued> {
    return this.#sign({
      publicKey,
      names: [...names, { type: 'url', value: caSpiffeId(this.material.trustDomain) }],
      usages: [ExtendedKeyUsage.serverAuth],
      lifetimeMs,
      extensions: [],
    });
  }

  /** The response of Istio's API for a leaf: itself, intermediates, and the roots as the last element. */
  chainOf(issued: Issued): string[] {
    const { intermediatesPem, rootsPem } = this.material;
    return [issued.certificatePem, ...intermediatesPem, rootsPem.join('')];
  }

  async #sign(profile: Profile): Promise<Issued> {
    // Certificates hold whole seconds: round down so that what is reported is what is signed.
    const now = this.#now();
    const backdateMs = Math.min(BACKDATE_MS, profile.lifetimeMs / 10);
    const notBeforeMs = Math.floor((now - backdateMs) / 1000) * 1000;
    const notAfterMs = Math.floor(Math.min(now + profile.lifetimeMs, this.material.notAfterMs) / 1000) * 1000;
    const publicKey = await importPublicKey(profile.publicKey);
    const serial = newSerial();
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serial,
      issuer: this.#issuer.subjectName,
      notBefore: new Date(notBeforeMs),
      notAfter: new Date(notAfterMs),
      publicKey,
      signingKey: this.#signingKey,
      signingAlgorithm: { name: this.#signingKey.algorithm.name, hash: 'SHA-256' },
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
        new ExtendedKeyUsageExtension([...profile.usages]),
        // Critical, since the subject is empty (RFC 5280, 4.2.1.6).
        new SubjectAlternativeNameExtension(profile.names, true),
        this.#authorityKeyId,
        await SubjectKeyIdentifierExtension.create(publicKey),
        ...profile.extensions,
      ],
    });
    return { certificatePem: `${certificate.toString('pem')}\n`, serial, notBeforeMs, notAfterMs };
  }
}

/** Undefined when no Trysail CA issued the certificate. */
export function issuingHost(certificateDer: Buffer): IssuingHost | undefined {
  const value = new X509Certificate(certificateDer).getExtension(COMMENT_OID)?.value;
  if (value === undefined) return undefined;
  const [, host, keySha256] = COMMENT.exec(ia5Text(Buffer.from(value))) ?? [];
  return host === undefined || keySha256 === undefined ? undefined : { host, keySha256 };
}

/** DER of an IA5String of at most 255 characters, which `MAX_HOST_NAME` sees to. */
function ia5String(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(text);
  return new Uint8Array([0x16, ...(bytes.length < 0x80 ? [] : [0x81]), bytes.length, ...bytes]);
}

function ia5Text(der: Buffer): string {
  return der.subarray(der[1] === 0x81 ? 3 : 2).toString('latin1');
}
