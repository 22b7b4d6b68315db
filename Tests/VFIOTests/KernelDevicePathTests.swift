/// Names of kernel devices that are none: each is refused with the places where a device was looked for.
import Testing
import VFIO

@Suite struct KernelDevicePathTests {
    @Test(arguments: ["", "0000:ff:1f.7", "/dev/vfio/devices/vfio9999", "/sys/bus/pci/devices/none", "../../../etc"])
    func aNameWithoutADeviceIsRefused(name: String) {
        let failure = #expect(throws: KernelDevicePath.Failure.self) { try KernelDevicePath(name) }
        #expect(failure?.description.hasPrefix("\(name): no such device: expected a folder below /sys/bus") == true)
    }

    @Test func aFolderWithoutAGroupIsNoDevice() {
        let failure = #expect(throws: KernelDevicePath.Failure.self) { try KernelDevicePath("/sys/class") }
        #expect(failure?.description.hasPrefix("/sys/class: the device has neither an IOMMU group nor a character device") == true)
    }
}
