/* SPDX-License-Identifier: Apache-2.0 */
/* A virtual machine and its processor; and a device that only a volume brings into a pod. */
/* needs: : < /dev/kvm */
/* run: -v */
/* run: /dev/kvm:/dev/kvm */
/* refused: pid 2 (refused-kvm) fd 3: /dev/kvm is not carried yet; close it before the checkpoint */
/* refused: pid 2 (refused-kvm) fd 4: virtual machines (KVM) are not carried */
/* refused: pid 2 (refused-kvm) fd 5: virtual machines (KVM) are not carried */
#include "tests/victims/victim.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

int main(void)
{
	CHECK_EQ(CHECK_SYS(open("/dev/kvm", O_RDWR)), 3);
	CHECK_EQ(CHECK_SYS(ioctl(3, KVM_CREATE_VM, 0)), 4);
	CHECK_EQ(CHECK_SYS(ioctl(4, KVM_CREATE_VCPU, 0)), 5);
	victim_ready();
	CHECK_EQ(ioctl(3, KVM_GET_API_VERSION, 0), 12);
	CHECK_SYS(ioctl(4, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS));
	victim_pass();
}
