import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isEntitled, isEntitlementPattern } from './entitlement.ts';

const of = (namespace: string, serviceAccount: string) => ({ trustDomain: 'td', namespace, serviceAccount });

test('isEntitlementPattern() takes namespace/account with a star at the end of a half', () => {
  for (const pattern of ['default/reviews', 'payments/*', 'shop/web-*', '*/*', '*/deployer', 'org.space/app_1']) {
    assert.ok(isEntitlementPattern(pattern), pattern);
  }
  for (const pattern of ['', '*', 'default', 'default/', '/reviews', 'a/b/c', 'a/*b', 'a/**', 'a b/c', 'ns/../x']) {
    assert.ok(!isEntitlementPattern(pattern), pattern);
  }
});

test('isEntitled() matches halves separately', () => {
  assert.ok(isEntitled(['default/reviews'], of('default', 'reviews')));
  assert.ok(!isEntitled(['default/reviews'], of('default', 'reviews2')));
  assert.ok(!isEntitled(['default/reviews'], of('other', 'reviews')));
  assert.ok(isEntitled(['shop/web-*'], of('shop', 'web-1')));
  assert.ok(!isEntitled(['shop/web-*'], of('shop', 'we')));
  assert.ok(!isEntitled(['pay*/x'], of('shop', 'x')));
  assert.ok(isEntitled(['a/b', '*/*'], of('any', 'thing')));
  assert.ok(!isEntitled([], of('default', 'reviews')));
  assert.ok(!isEntitled(['d.fault/x'], of('default', 'x')), 'a dot is a dot');
});
