import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lacksOwner, nftError } from './nft-error.ts';

const RULES =
  'add table inet trysail { flags owner; }\ndelete table inet trysail\n  tcp dport 80 tproxy to :15006\n  x\n';

/** As nft writes it: the place, the line, marks below it. */
const said = (line: number, message: string): string =>
  `In file included from <cmdline>:1:1-30:\n/run/trysail-capture/rules.nft:${line}:3-9: Error: ${message}\n  rule\n  ^^^^\n`;

test('the refused line is named, with what helps', () => {
  const error = nftError(said(3, 'Could not process rule: No such file or directory'), RULES);
  assert.equal(error?.code, 'CAPTURE_REFUSED');
  assert.equal(
    error?.message,
    'the rules of capture were refused, line 3 (tcp dport 80 tproxy to :15006): Could not process rule: No such file or directory',
  );
  assert.match(error?.remedy ?? '', /nft_tproxy/);
  assert.match(
    nftError(said(4, 'cgroupv2 path fails: No such file or directory'), RULES)?.remedy ?? '',
    /^The unit must/,
  );
  assert.match(
    nftError(said(1, 'Could not process rule: Operation not permitted'), RULES)?.remedy ?? '',
    /CAP_NET_ADMIN/,
  );
  assert.match(nftError('sh: 1: exec: nft: not found\n', RULES)?.remedy ?? '', /^Install nftables/);
  assert.equal(nftError('table inet trysail {\n}\n', RULES), undefined);
});

test('a kernel or an nft without owned tables is told from one that refuses', () => {
  assert.ok(lacksOwner(said(1, 'Could not process rule: Operation not supported'), RULES));
  assert.ok(lacksOwner(said(1, 'syntax error, unexpected string'), RULES));
  assert.ok(!lacksOwner(said(1, 'Could not process rule: Operation not permitted'), RULES));
  assert.ok(!lacksOwner(said(3, 'Could not process rule: Operation not supported'), RULES));
});
