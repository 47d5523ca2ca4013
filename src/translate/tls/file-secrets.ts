/**
 * Certificates that are files of this host, as SDS secrets that name the files: Envoy reads them itself, and again when a
 * new file is moved over an old one. Only paths pass the agent.
 */
import { create } from '@bufbuild/protobuf';
import { CertificateValidationContextSchema } from '../../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import { SecretSchema } from '../../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import type { Resource } from '../../xds/resource.ts';
import { resource } from '../messages.ts';
import type { ResourceUnits } from '../resource-units.ts';
import { type CertificateFiles, certificateFilesName, type RootFiles, rootFilesName } from './certificate-files.ts';

function file(filename: string): { readonly specifier: { readonly case: 'filename'; readonly value: string } } {
  return { specifier: { case: 'filename', value: filename } };
}

/** https://www.envoyproxy.io/docs/envoy/latest/configuration/security/secret */
function certificateFilesSecret(files: CertificateFiles): Resource {
  const name = certificateFilesName(files);
  return resource(name, SecretSchema, {
    name,
    type: {
      case: 'tlsCertificate',
      value: { certificateChain: file(files.certificate), privateKey: file(files.privateKey) },
    },
  });
}

export function rootFilesSecret(files: RootFiles): Resource {
  const name = rootFilesName(files);
  return resource(name, SecretSchema, {
    name,
    type: {
      case: 'validationContext',
      value: create(CertificateValidationContextSchema, {
        trustedCa: file(files.roots),
        ...(files.revoked !== undefined && { crl: file(files.revoked) }),
      }),
    },
  });
}

/** Has Envoy read a key pair; returns the name to refer to it by. */
export function useCertificateFiles(units: ResourceUnits, files: CertificateFiles): string {
  const name = certificateFilesName(files);
  units.make('secrets', name, [], () => certificateFilesSecret(files));
  return name;
}

/** Has Envoy read roots; returns the name to refer to them by. */
export function useRootFiles(units: ResourceUnits, files: RootFiles): string {
  const name = rootFilesName(files);
  units.make('secrets', name, [], () => rootFilesSecret(files));
  return name;
}
