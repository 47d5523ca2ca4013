/** SELinux and AppArmor: whether one is in force, and has a word on us. */
import { finding, type HostCheck } from './host-check.ts';

export const SECURITY_MODULES_CHECK: HostCheck = {
  name: 'security-modules',
  async run({ io }) {
    const [enforce, profiles, enabled] = await Promise.all([
      io.read('/sys/fs/selinux/enforce'),
      io.read('/sys/kernel/security/apparmor/profiles'),
      io.read('/sys/module/apparmor/parameters/enabled'),
    ]);
    const facts: string[] = [];
    const findings = [];
    if (enforce?.trim() === '1') {
      facts.push('SELinux is enforcing');
      const denied = await io.run('ausearch', ['-m', 'AVC', '-ts', 'recent']);
      const ours = denied?.stdout.split('\n').findLast((line) => /comm="(?:envoy|trysail|node)"/.test(line));
      if (ours !== undefined)
        findings.push(
          finding(
            'TRY1181',
            'warning',
            'SELinux',
            `it denied something lately: ${ours.slice(0, 200)}`,
            'See it: ausearch -m AVC -ts recent; and allow it by audit2allow, or label the program.',
          ),
        );
    } else if (enforce !== undefined) facts.push('SELinux is permissive');
    const loaded = (profiles ?? '').split('\n').filter((line) => /trysail|envoy/.test(line));
    if (enabled?.trim() === 'Y') facts.push('AppArmor is on');
    for (const line of loaded.filter((each) => each.includes('(enforce)')))
      findings.push(
        finding(
          'TRY1181',
          'info',
          'AppArmor',
          `the profile ${line.replace(/ \(.*/, '')} is enforced`,
          'Look for DENIED in the journal (journalctl -k -g apparmor) if a folder or port is refused.',
        ),
      );
    return { facts: facts.length === 0 ? ['none in force'] : facts, findings };
  },
};
