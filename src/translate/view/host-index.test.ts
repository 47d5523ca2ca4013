import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostIndex, hostIndexes } from './host-index.ts';
import { bestSpecificity } from './host-pattern.ts';

interface Rule {
  readonly hosts: readonly string[];
}

const HOSTS = ['a.b.c', 'b.c', '*.b.c', 'x.b.c', 'c', 'y.a.b.c', '*', '*.c', 'ab.c'];

test('candidates are all rules with a pattern that covers the host, in their order', () => {
  const rules: Rule[] = HOSTS.flatMap((one) => HOSTS.map((two) => ({ hosts: [one, two] })));
  const index = new HostIndex(rules, ({ hosts }) => hosts);
  for (const host of HOSTS) {
    const expected = rules.filter(({ hosts }) => bestSpecificity(hosts, [host]) !== undefined);
    assert.deepEqual(index.candidates([host]), expected, host);
  }
});

test('a rule that covers several of the hosts comes once', () => {
  const rule = { hosts: ['*.b', 'a.b', '*'] };
  assert.deepEqual(new HostIndex<Rule>([rule], ({ hosts }) => hosts).candidates(['a.b', 'c.b']), [rule]);
});

test('an index is made once for a list', () => {
  let looked = 0;
  const indexOf = hostIndexes<Rule>((rule) => {
    looked++;
    return rule.hosts;
  });
  const rules = [{ hosts: ['a'] }, { hosts: ['b'] }];
  assert.equal(indexOf(rules), indexOf(rules));
  assert.equal(looked, 2);
});
