/// A device of the running kernel: the calls of `MigrationDevice` on real descriptors, through the system calls of the C layer.
///
/// A device is opened through its character device and an iommufd, or through its group and a container. Its address space stays empty: no
/// guest memory is mapped, so a device that is checked or driven by the engine must not need any.
import CVFIOMock
import Glibc
import MigrationTrace
import SystemPackage

package final class KernelMigrationDevice: DeviceRequests {
    package let name: String
    package let path: KernelDevicePath
    package let access: KernelAccess

    /// The iommufd, or the container and the group; closed after the device.
    private var surroundings: [Int32] = []
    private var device: Int32 = -1

    /// Opens a device. `name` is its name in logs. The state that an earlier user has left it in is left alone.
    package init(name: String, path: KernelDevicePath, access: KernelAccess? = nil) throws(KernelDevicePath.Failure) {
        guard let access = access ?? path.accesses.first, path.accesses.contains(access) else {
            throw KernelDevicePath.Failure(
                description:
                    "\(path.folder): cannot be opened through \(access?.rawValue ?? "anything"): this kernel offers "
                    + (path.accesses.isEmpty ? "neither cdev nor group" : path.accesses.map(\.rawValue).joined(separator: ", ")))
        }
        (self.name, self.path, self.access) = (name, path, access)
        try open()
    }

    deinit { closeAll() }

    /// Closes the device; no call succeeds any more.
    package func shut() { closeAll() }

    // MARK: Opening

    private func open() throws(KernelDevicePath.Failure) {
        do {
            switch access {
            case .cdev: try openCharacterDevice()
            case .group: try openGroup()
            }
        } catch {
            closeAll()
            throw error
        }
    }

    private func openCharacterDevice() throws(KernelDevicePath.Failure) {
        let iommufd = try opened("/dev/iommu")
        surroundings = [iommufd]
        device = try opened(path.cdev.unsafelyUnwrapped)
        var bind = vfio_device_bind_iommufd(argsz: 16, flags: 0, iommufd: iommufd, out_devid: 0)
        try call("VFIO_DEVICE_BIND_IOMMUFD", device, VFIO_DEVICE_BIND_IOMMUFD, &bind)
        var space = iommu_ioas_alloc(size: 12, flags: 0, out_ioas_id: 0)
        try call("IOMMU_IOAS_ALLOC", iommufd, IOMMU_IOAS_ALLOC, &space)
        var attach = vfio_device_attach_iommufd_pt(argsz: 12, flags: 0, pt_id: space.out_ioas_id)
        try call("VFIO_DEVICE_ATTACH_IOMMUFD_PT", device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach)
    }

    private func openGroup() throws(KernelDevicePath.Failure) {
        let container = try opened("/dev/vfio/vfio")
        surroundings = [container]
        let group = try opened(path.group.unsafelyUnwrapped)
        surroundings = [group, container]
        var status = vfio_group_status(argsz: 8, flags: 0)
        try call("VFIO_GROUP_GET_STATUS", group, VFIO_GROUP_GET_STATUS, &status)
        guard status.flags & UInt32(VFIO_GROUP_FLAGS_VIABLE) != 0 else {
            throw KernelDevicePath.Failure(
                description: "\(path.group.unsafelyUnwrapped): the group is not viable: bind every device of it to a VFIO driver")
        }
        var number = container
        try call("VFIO_GROUP_SET_CONTAINER", group, VFIO_GROUP_SET_CONTAINER, &number)
        try checked("VFIO_SET_IOMMU", sys_ioctl(container, UInt(VFIO_SET_IOMMU), UnsafeMutableRawPointer(bitPattern: VFIO_TYPE1v2_IOMMU)))
        var text = Array(path.name.utf8CString)
        device = try checked(
            "VFIO_GROUP_GET_DEVICE_FD", text.withUnsafeMutableBytes { sys_ioctl(group, UInt(VFIO_GROUP_GET_DEVICE_FD), $0.baseAddress) })
    }

    private func opened(_ path: String) throws(KernelDevicePath.Failure) -> Int32 {
        try checked("\(path): open()", sys_open(path, O_RDWR, 0))
    }

    private func call<Argument>(
        _ what: String, _ descriptor: Int32, _ request: Int, _ argument: inout Argument
    ) throws(KernelDevicePath.Failure) {
        try checked(what, withUnsafeMutableBytes(of: &argument) { sys_ioctl(descriptor, UInt(request), $0.baseAddress) })
    }

    @discardableResult
    private func checked(_ what: String, _ result: Int32) throws(KernelDevicePath.Failure) -> Int32 {
        guard result < 0 else { return result }
        throw KernelDevicePath.Failure(description: "\(path.folder): \(what) failed: \(Errno(rawValue: -result))")
    }

    private func closeAll() {
        for descriptor in [device] + surroundings where descriptor >= 0 { _ = sys_close(descriptor) }
        (device, surroundings) = (-1, [])
    }

    /// Leaves the device as a user expects to find it: RUNNING. A driver may keep its state over close() (confirmed on mtty, Linux 7.2).
    package func settle() -> Result<Void, Errno> {
        switch getState() {
        case .success((.running, _)): .success(())
        case .success: reset()
        case .failure(let errno): .failure(errno)
        }
    }

    // MARK: Calls

    package func request(_ number: UInt64, _ argument: UnsafeMutableRawBufferPointer) -> Result<Void, Errno> {
        Self.repeated { Int64(sys_ioctl(device, UInt(number), argument.baseAddress)) }.map { _ in }
    }

    package func dataRequest(
        _ descriptor: DataDescriptor, _ number: UInt64, _ argument: UnsafeMutableRawBufferPointer
    ) -> Result<Void, Errno> {
        Self.repeated { Int64(sys_ioctl(descriptor.number, UInt(number), argument.baseAddress)) }.map { _ in }
    }

    package func read(_ descriptor: DataDescriptor, at address: UnsafeMutableRawPointer?, count: Int) -> Result<Int, Errno> {
        Self.repeated { sys_read(descriptor.number, address, count) }
    }

    package func write(_ descriptor: DataDescriptor, at address: UnsafeRawPointer?, count: Int) -> Result<Int, Errno> {
        Self.repeated { sys_write(descriptor.number, address, count) }
    }

    package func close(_ descriptor: DataDescriptor) { _ = sys_close(descriptor.number) }

    package func reopen() -> Result<Void, Errno> {
        closeAll()
        do { try open() } catch { return .failure(.noSuchAddressOrDevice) }
        return .success(())
    }

    /// A group, and a device that is bound to an iommufd, have one opener (Linux 7.2).
    package func openAgain() -> Result<Void, Errno>? {
        let place = (access == .cdev ? path.cdev : path.group).unsafelyUnwrapped
        let second = sys_open(place, O_RDWR, 0)
        guard second >= 0 else { return .failure(Errno(rawValue: -second)) }
        defer { _ = sys_close(second) }
        guard access == .cdev, let iommufd = surroundings.first else { return .success(()) }
        var bind = vfio_device_bind_iommufd(argsz: 16, flags: 0, iommufd: iommufd, out_devid: 0)
        let result = withUnsafeMutableBytes(of: &bind) { sys_ioctl(second, UInt(VFIO_DEVICE_BIND_IOMMUFD), $0.baseAddress) }
        return result < 0 ? .failure(Errno(rawValue: -result)) : .success(())
    }

    package func isReadable(_ descriptor: DataDescriptor) -> Result<Bool, Errno>? {
        let events = sys_poll(descriptor.number, Int32(POLLIN))
        return events < 0 ? .failure(Errno(rawValue: -events)) : .success(events & Int32(POLLIN) != 0)
    }

    package func seek(_ descriptor: DataDescriptor) -> Result<Void, Errno>? {
        let result = sys_seek(descriptor.number, 0, SEEK_SET)
        return result < 0 ? .failure(Errno(rawValue: Int32(-result))) : .success(())
    }

    /// A call that a signal has interrupted is made again.
    private static func repeated(_ call: () -> Int64) -> Result<Int, Errno> {
        while true {
            let result = call()
            if result >= 0 { return .success(Int(result)) }
            if result != -Int64(EINTR) { return .failure(Errno(rawValue: Int32(-result))) }
        }
    }
}
