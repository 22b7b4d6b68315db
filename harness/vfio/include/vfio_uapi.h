/*
 * The VFIO device, VFIO migration and iommufd ioctl interface: numbers and layouts.
 *
 * Distributions' own linux/vfio.h is often older than PRE_COPY and has no iommufd, so the definitions
 * stand here, as of Linux 7.2, each pinned by a static assertion. Everything is in host byte order.
 * Pointers of the interface are u64 addresses. Where later kernels have grown a structure, the layout
 * is the smallest one a kernel accepts and the comment says what may follow.
 *
 * Numbers are enumerators, so that C and Swift see the same constants.
 */
#ifndef ACKMATRIX_VFIO_UAPI_H
#define ACKMATRIX_VFIO_UAPI_H

#include <stddef.h>
#include <stdint.h>

#define UAPI_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), "size of struct " #type)
#define UAPI_FIELD(type, field, offset) \
    _Static_assert(offsetof(struct type, field) == (offset), "offset of " #field " in struct " #type)
#define UAPI_NUMBER(name, number) _Static_assert((name) == (number), "value of " #name)

/* Every request is _IO(';', nr): the kernel reads the length from the argument's first field. */
enum { VFIO_TYPE = ';', VFIO_BASE = 100, IOMMUFD_BASE = 0x80 };
#define VFIO_REQUEST(nr) ((VFIO_TYPE << 8) | (nr))

/* --- Groups and their container ------------------------------------------------------------------ */

enum {
    VFIO_GET_API_VERSION = VFIO_REQUEST(VFIO_BASE + 0),
    VFIO_CHECK_EXTENSION = VFIO_REQUEST(VFIO_BASE + 1),
    VFIO_SET_IOMMU = VFIO_REQUEST(VFIO_BASE + 2),
    VFIO_GROUP_GET_STATUS = VFIO_REQUEST(VFIO_BASE + 3),
    VFIO_GROUP_SET_CONTAINER = VFIO_REQUEST(VFIO_BASE + 4),
    VFIO_GROUP_GET_DEVICE_FD = VFIO_REQUEST(VFIO_BASE + 6),
};
UAPI_NUMBER(VFIO_GET_API_VERSION, 0x3b64);
UAPI_NUMBER(VFIO_CHECK_EXTENSION, 0x3b65);
UAPI_NUMBER(VFIO_SET_IOMMU, 0x3b66);
UAPI_NUMBER(VFIO_GROUP_GET_STATUS, 0x3b67);
UAPI_NUMBER(VFIO_GROUP_SET_CONTAINER, 0x3b68);
UAPI_NUMBER(VFIO_GROUP_GET_DEVICE_FD, 0x3b6a);

enum { VFIO_API_VERSION = 0, VFIO_TYPE1v2_IOMMU = 3 };
enum { VFIO_GROUP_FLAGS_VIABLE = 1, VFIO_GROUP_FLAGS_CONTAINER_SET = 2 };
struct vfio_group_status {
    uint32_t argsz, flags;
};
UAPI_SIZE(vfio_group_status, 8);
UAPI_FIELD(vfio_group_status, argsz, 0);
UAPI_FIELD(vfio_group_status, flags, 4);

/* --- Device descriptor ------------------------------------------------------------------------ */

enum {
    VFIO_DEVICE_GET_INFO = VFIO_REQUEST(VFIO_BASE + 7),
    VFIO_DEVICE_GET_REGION_INFO = VFIO_REQUEST(VFIO_BASE + 8),
    VFIO_DEVICE_GET_IRQ_INFO = VFIO_REQUEST(VFIO_BASE + 9),
    VFIO_DEVICE_SET_IRQS = VFIO_REQUEST(VFIO_BASE + 10),
    VFIO_DEVICE_RESET = VFIO_REQUEST(VFIO_BASE + 11),
    VFIO_DEVICE_GET_PCI_HOT_RESET_INFO = VFIO_REQUEST(VFIO_BASE + 12),
    VFIO_DEVICE_FEATURE = VFIO_REQUEST(VFIO_BASE + 17),
    VFIO_DEVICE_BIND_IOMMUFD = VFIO_REQUEST(VFIO_BASE + 18),
    VFIO_DEVICE_ATTACH_IOMMUFD_PT = VFIO_REQUEST(VFIO_BASE + 19),
    VFIO_DEVICE_DETACH_IOMMUFD_PT = VFIO_REQUEST(VFIO_BASE + 20),
};
UAPI_NUMBER(VFIO_DEVICE_GET_INFO, 0x3b6b);
UAPI_NUMBER(VFIO_DEVICE_GET_REGION_INFO, 0x3b6c);
UAPI_NUMBER(VFIO_DEVICE_GET_IRQ_INFO, 0x3b6d);
UAPI_NUMBER(VFIO_DEVICE_SET_IRQS, 0x3b6e);
UAPI_NUMBER(VFIO_DEVICE_RESET, 0x3b6f);
UAPI_NUMBER(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, 0x3b70);
UAPI_NUMBER(VFIO_DEVICE_FEATURE, 0x3b75);
UAPI_NUMBER(VFIO_DEVICE_BIND_IOMMUFD, 0x3b76);
UAPI_NUMBER(VFIO_DEVICE_ATTACH_IOMMUFD_PT, 0x3b77);
UAPI_NUMBER(VFIO_DEVICE_DETACH_IOMMUFD_PT, 0x3b78);

enum { VFIO_DEVICE_FLAGS_RESET = 1, VFIO_DEVICE_FLAGS_PCI = 2, VFIO_DEVICE_FLAGS_CAPS = 1 << 7 };
struct vfio_device_info {
    uint32_t argsz, flags, num_regions, num_irqs;
    uint32_t cap_offset, pad; /* from here on only when argsz covers it */
};
UAPI_SIZE(vfio_device_info, 24);
UAPI_FIELD(vfio_device_info, argsz, 0);
UAPI_FIELD(vfio_device_info, flags, 4);
UAPI_FIELD(vfio_device_info, num_regions, 8);
UAPI_FIELD(vfio_device_info, num_irqs, 12);
UAPI_FIELD(vfio_device_info, cap_offset, 16);
UAPI_FIELD(vfio_device_info, pad, 20);

/* Regions of a PCI device. By convention of vfio-pci a region's offset is its index << 40. */
enum {
    VFIO_PCI_BAR0_REGION_INDEX = 0,
    VFIO_PCI_BAR5_REGION_INDEX = 5,
    VFIO_PCI_ROM_REGION_INDEX = 6,
    VFIO_PCI_CONFIG_REGION_INDEX = 7,
    VFIO_PCI_VGA_REGION_INDEX = 8,
    VFIO_PCI_NUM_REGIONS = 9,
    VFIO_PCI_OFFSET_SHIFT = 40,
};
enum {
    VFIO_REGION_INFO_FLAG_READ = 1,
    VFIO_REGION_INFO_FLAG_WRITE = 2,
    VFIO_REGION_INFO_FLAG_MMAP = 4,
    VFIO_REGION_INFO_FLAG_CAPS = 8,
};
struct vfio_region_info {
    uint32_t argsz, flags, index, cap_offset;
    uint64_t size, offset;
};
UAPI_SIZE(vfio_region_info, 32);
UAPI_FIELD(vfio_region_info, argsz, 0);
UAPI_FIELD(vfio_region_info, flags, 4);
UAPI_FIELD(vfio_region_info, index, 8);
UAPI_FIELD(vfio_region_info, cap_offset, 12);
UAPI_FIELD(vfio_region_info, size, 16);
UAPI_FIELD(vfio_region_info, offset, 24);

enum {
    VFIO_PCI_INTX_IRQ_INDEX = 0,
    VFIO_PCI_MSI_IRQ_INDEX = 1,
    VFIO_PCI_MSIX_IRQ_INDEX = 2,
    VFIO_PCI_ERR_IRQ_INDEX = 3,
    VFIO_PCI_REQ_IRQ_INDEX = 4,
    VFIO_PCI_NUM_IRQS = 5,
};
enum {
    VFIO_IRQ_INFO_EVENTFD = 1,
    VFIO_IRQ_INFO_MASKABLE = 2,
    VFIO_IRQ_INFO_AUTOMASKED = 4,
    VFIO_IRQ_INFO_NORESIZE = 8,
};
struct vfio_irq_info {
    uint32_t argsz, flags, index, count;
};
UAPI_SIZE(vfio_irq_info, 16);
UAPI_FIELD(vfio_irq_info, argsz, 0);
UAPI_FIELD(vfio_irq_info, flags, 4);
UAPI_FIELD(vfio_irq_info, index, 8);
UAPI_FIELD(vfio_irq_info, count, 12);

enum {
    VFIO_IRQ_SET_DATA_NONE = 1,
    VFIO_IRQ_SET_DATA_BOOL = 2,
    VFIO_IRQ_SET_DATA_EVENTFD = 4,
    VFIO_IRQ_SET_DATA_TYPE_MASK = 7,
    VFIO_IRQ_SET_ACTION_MASK = 8,
    VFIO_IRQ_SET_ACTION_UNMASK = 16,
    VFIO_IRQ_SET_ACTION_TRIGGER = 32,
    VFIO_IRQ_SET_ACTION_TYPE_MASK = 56,
};
struct vfio_irq_set { /* then a u8 or an s32 per interrupt, by the data flag */
    uint32_t argsz, flags, index, start, count;
    uint8_t data[];
};
UAPI_SIZE(vfio_irq_set, 20);
UAPI_FIELD(vfio_irq_set, argsz, 0);
UAPI_FIELD(vfio_irq_set, flags, 4);
UAPI_FIELD(vfio_irq_set, index, 8);
UAPI_FIELD(vfio_irq_set, start, 12);
UAPI_FIELD(vfio_irq_set, count, 16);
UAPI_FIELD(vfio_irq_set, data, 20);

struct vfio_pci_hot_reset_info { /* then 8 bytes per affected device */
    uint32_t argsz, flags, count;
};
UAPI_SIZE(vfio_pci_hot_reset_info, 12);
UAPI_FIELD(vfio_pci_hot_reset_info, argsz, 0);
UAPI_FIELD(vfio_pci_hot_reset_info, flags, 4);
UAPI_FIELD(vfio_pci_hot_reset_info, count, 8);

struct vfio_device_bind_iommufd { /* newer kernels: a u64 token pointer may follow */
    uint32_t argsz, flags;
    int32_t iommufd;
    uint32_t out_devid;
};
UAPI_SIZE(vfio_device_bind_iommufd, 16);
UAPI_FIELD(vfio_device_bind_iommufd, argsz, 0);
UAPI_FIELD(vfio_device_bind_iommufd, flags, 4);
UAPI_FIELD(vfio_device_bind_iommufd, iommufd, 8);
UAPI_FIELD(vfio_device_bind_iommufd, out_devid, 12);

struct vfio_device_attach_iommufd_pt { /* newer kernels: a u32 pasid may follow */
    uint32_t argsz, flags, pt_id;
};
UAPI_SIZE(vfio_device_attach_iommufd_pt, 12);
UAPI_FIELD(vfio_device_attach_iommufd_pt, argsz, 0);
UAPI_FIELD(vfio_device_attach_iommufd_pt, flags, 4);
UAPI_FIELD(vfio_device_attach_iommufd_pt, pt_id, 8);

struct vfio_device_detach_iommufd_pt { /* newer kernels: a u32 pasid may follow */
    uint32_t argsz, flags;
};
UAPI_SIZE(vfio_device_detach_iommufd_pt, 8);
UAPI_FIELD(vfio_device_detach_iommufd_pt, argsz, 0);
UAPI_FIELD(vfio_device_detach_iommufd_pt, flags, 4);

/* --- Features --------------------------------------------------------------------------------- */

enum {
    VFIO_DEVICE_FEATURE_MASK = 0xffff,
    VFIO_DEVICE_FEATURE_GET = 1 << 16,
    VFIO_DEVICE_FEATURE_SET = 1 << 17,
    VFIO_DEVICE_FEATURE_PROBE = 1 << 18,
};
struct vfio_device_feature { /* argsz is 8 plus the size of the data */
    uint32_t argsz, flags;
    uint8_t data[];
};
UAPI_SIZE(vfio_device_feature, 8);
UAPI_FIELD(vfio_device_feature, argsz, 0);
UAPI_FIELD(vfio_device_feature, flags, 4);
UAPI_FIELD(vfio_device_feature, data, 8);

enum {
    VFIO_DEVICE_FEATURE_MIGRATION = 1,
    VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE = 2,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_START = 6,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP = 7,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT = 8,
    VFIO_DEVICE_FEATURE_MIG_DATA_SIZE = 9,
    VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 = 12,
};

enum { VFIO_MIGRATION_STOP_COPY = 1, VFIO_MIGRATION_P2P = 2, VFIO_MIGRATION_PRE_COPY = 4 };
struct vfio_device_feature_migration {
    uint64_t flags;
};
UAPI_SIZE(vfio_device_feature_migration, 8);
UAPI_FIELD(vfio_device_feature_migration, flags, 0);

enum vfio_device_mig_state {
    VFIO_DEVICE_STATE_ERROR = 0,
    VFIO_DEVICE_STATE_STOP = 1,
    VFIO_DEVICE_STATE_RUNNING = 2,
    VFIO_DEVICE_STATE_STOP_COPY = 3,
    VFIO_DEVICE_STATE_RESUMING = 4,
    VFIO_DEVICE_STATE_RUNNING_P2P = 5,
    VFIO_DEVICE_STATE_PRE_COPY = 6,
    VFIO_DEVICE_STATE_PRE_COPY_P2P = 7,
    VFIO_DEVICE_STATE_NR = 8,
};
struct vfio_device_feature_mig_state {
    uint32_t device_state;
    int32_t data_fd;
};
UAPI_SIZE(vfio_device_feature_mig_state, 8);
UAPI_FIELD(vfio_device_feature_mig_state, device_state, 0);
UAPI_FIELD(vfio_device_feature_mig_state, data_fd, 4);

struct vfio_device_feature_dma_logging_control {
    uint64_t page_size;
    uint32_t num_ranges, __reserved;
    uint64_t ranges;
};
UAPI_SIZE(vfio_device_feature_dma_logging_control, 24);
UAPI_FIELD(vfio_device_feature_dma_logging_control, page_size, 0);
UAPI_FIELD(vfio_device_feature_dma_logging_control, num_ranges, 8);
UAPI_FIELD(vfio_device_feature_dma_logging_control, __reserved, 12);
UAPI_FIELD(vfio_device_feature_dma_logging_control, ranges, 16);

struct vfio_device_feature_dma_logging_range {
    uint64_t iova, length;
};
UAPI_SIZE(vfio_device_feature_dma_logging_range, 16);
UAPI_FIELD(vfio_device_feature_dma_logging_range, iova, 0);
UAPI_FIELD(vfio_device_feature_dma_logging_range, length, 8);

struct vfio_device_feature_dma_logging_report {
    uint64_t iova, length, page_size, bitmap;
};
UAPI_SIZE(vfio_device_feature_dma_logging_report, 32);
UAPI_FIELD(vfio_device_feature_dma_logging_report, iova, 0);
UAPI_FIELD(vfio_device_feature_dma_logging_report, length, 8);
UAPI_FIELD(vfio_device_feature_dma_logging_report, page_size, 16);
UAPI_FIELD(vfio_device_feature_dma_logging_report, bitmap, 24);

struct vfio_device_feature_mig_data_size {
    uint64_t stop_copy_length;
};
UAPI_SIZE(vfio_device_feature_mig_data_size, 8);
UAPI_FIELD(vfio_device_feature_mig_data_size, stop_copy_length, 0);

/* --- Data descriptor -------------------------------------------------------------------------- */

enum { VFIO_MIG_GET_PRECOPY_INFO = VFIO_REQUEST(VFIO_BASE + 21) };
UAPI_NUMBER(VFIO_MIG_GET_PRECOPY_INFO, 0x3b79);

enum { VFIO_PRECOPY_INFO_REINIT = 1 };
struct vfio_precopy_info {
    uint32_t argsz, flags;
    uint64_t initial_bytes, dirty_bytes;
};
UAPI_SIZE(vfio_precopy_info, 24);
UAPI_FIELD(vfio_precopy_info, argsz, 0);
UAPI_FIELD(vfio_precopy_info, flags, 4);
UAPI_FIELD(vfio_precopy_info, initial_bytes, 8);
UAPI_FIELD(vfio_precopy_info, dirty_bytes, 16);

/* --- iommufd ---------------------------------------------------------------------------------- */

/* Structures begin with their size. A kernel takes a larger one when the bytes it does not know are
 * zero (else E2BIG), and refuses one smaller than the first version (EINVAL). */
enum {
    IOMMU_DESTROY = VFIO_REQUEST(IOMMUFD_BASE + 0),
    IOMMU_IOAS_ALLOC = VFIO_REQUEST(IOMMUFD_BASE + 1),
    IOMMU_IOAS_ALLOW_IOVAS = VFIO_REQUEST(IOMMUFD_BASE + 2),
    IOMMU_IOAS_COPY = VFIO_REQUEST(IOMMUFD_BASE + 3),
    IOMMU_IOAS_IOVA_RANGES = VFIO_REQUEST(IOMMUFD_BASE + 4),
    IOMMU_IOAS_MAP = VFIO_REQUEST(IOMMUFD_BASE + 5),
    IOMMU_IOAS_UNMAP = VFIO_REQUEST(IOMMUFD_BASE + 6),
    IOMMU_OPTION = VFIO_REQUEST(IOMMUFD_BASE + 7),
    IOMMU_VFIO_IOAS = VFIO_REQUEST(IOMMUFD_BASE + 8),
    IOMMU_HWPT_ALLOC = VFIO_REQUEST(IOMMUFD_BASE + 9),
    IOMMU_GET_HW_INFO = VFIO_REQUEST(IOMMUFD_BASE + 10),
    IOMMU_HWPT_SET_DIRTY_TRACKING = VFIO_REQUEST(IOMMUFD_BASE + 11),
    IOMMU_HWPT_GET_DIRTY_BITMAP = VFIO_REQUEST(IOMMUFD_BASE + 12),
    IOMMU_HWPT_INVALIDATE = VFIO_REQUEST(IOMMUFD_BASE + 13),
    IOMMU_FAULT_QUEUE_ALLOC = VFIO_REQUEST(IOMMUFD_BASE + 14),
    IOMMU_IOAS_MAP_FILE = VFIO_REQUEST(IOMMUFD_BASE + 15),
    IOMMU_VIOMMU_ALLOC = VFIO_REQUEST(IOMMUFD_BASE + 16),
    IOMMU_IOAS_CHANGE_PROCESS = VFIO_REQUEST(IOMMUFD_BASE + 18),
};
UAPI_NUMBER(IOMMU_DESTROY, 0x3b80);
UAPI_NUMBER(IOMMU_IOAS_ALLOC, 0x3b81);
UAPI_NUMBER(IOMMU_IOAS_ALLOW_IOVAS, 0x3b82);
UAPI_NUMBER(IOMMU_IOAS_COPY, 0x3b83);
UAPI_NUMBER(IOMMU_IOAS_IOVA_RANGES, 0x3b84);
UAPI_NUMBER(IOMMU_IOAS_MAP, 0x3b85);
UAPI_NUMBER(IOMMU_IOAS_UNMAP, 0x3b86);
UAPI_NUMBER(IOMMU_OPTION, 0x3b87);
UAPI_NUMBER(IOMMU_VFIO_IOAS, 0x3b88);
UAPI_NUMBER(IOMMU_HWPT_ALLOC, 0x3b89);
UAPI_NUMBER(IOMMU_GET_HW_INFO, 0x3b8a);
UAPI_NUMBER(IOMMU_HWPT_SET_DIRTY_TRACKING, 0x3b8b);
UAPI_NUMBER(IOMMU_HWPT_GET_DIRTY_BITMAP, 0x3b8c);
UAPI_NUMBER(IOMMU_HWPT_INVALIDATE, 0x3b8d);
UAPI_NUMBER(IOMMU_FAULT_QUEUE_ALLOC, 0x3b8e);
UAPI_NUMBER(IOMMU_IOAS_MAP_FILE, 0x3b8f);
UAPI_NUMBER(IOMMU_VIOMMU_ALLOC, 0x3b90);
UAPI_NUMBER(IOMMU_IOAS_CHANGE_PROCESS, 0x3b92);

struct iommu_destroy {
    uint32_t size, id;
};
UAPI_SIZE(iommu_destroy, 8);
UAPI_FIELD(iommu_destroy, size, 0);
UAPI_FIELD(iommu_destroy, id, 4);

struct iommu_ioas_alloc {
    uint32_t size, flags, out_ioas_id;
};
UAPI_SIZE(iommu_ioas_alloc, 12);
UAPI_FIELD(iommu_ioas_alloc, size, 0);
UAPI_FIELD(iommu_ioas_alloc, flags, 4);
UAPI_FIELD(iommu_ioas_alloc, out_ioas_id, 8);

struct iommu_iova_range {
    uint64_t start, last;
};
UAPI_SIZE(iommu_iova_range, 16);
UAPI_FIELD(iommu_iova_range, start, 0);
UAPI_FIELD(iommu_iova_range, last, 8);

struct iommu_ioas_iova_ranges {
    uint32_t size, ioas_id, num_iovas, __reserved;
    uint64_t allowed_iovas, out_iova_alignment;
};
UAPI_SIZE(iommu_ioas_iova_ranges, 32);
UAPI_FIELD(iommu_ioas_iova_ranges, size, 0);
UAPI_FIELD(iommu_ioas_iova_ranges, ioas_id, 4);
UAPI_FIELD(iommu_ioas_iova_ranges, num_iovas, 8);
UAPI_FIELD(iommu_ioas_iova_ranges, __reserved, 12);
UAPI_FIELD(iommu_ioas_iova_ranges, allowed_iovas, 16);
UAPI_FIELD(iommu_ioas_iova_ranges, out_iova_alignment, 24);

enum { IOMMU_IOAS_MAP_FIXED_IOVA = 1, IOMMU_IOAS_MAP_WRITEABLE = 2, IOMMU_IOAS_MAP_READABLE = 4 };
struct iommu_ioas_map {
    uint32_t size, flags, ioas_id, __reserved;
    uint64_t user_va, length, iova;
};
UAPI_SIZE(iommu_ioas_map, 40);
UAPI_FIELD(iommu_ioas_map, size, 0);
UAPI_FIELD(iommu_ioas_map, flags, 4);
UAPI_FIELD(iommu_ioas_map, ioas_id, 8);
UAPI_FIELD(iommu_ioas_map, __reserved, 12);
UAPI_FIELD(iommu_ioas_map, user_va, 16);
UAPI_FIELD(iommu_ioas_map, length, 24);
UAPI_FIELD(iommu_ioas_map, iova, 32);

struct iommu_ioas_map_file {
    uint32_t size, flags, ioas_id;
    int32_t fd;
    uint64_t start, length, iova;
};
UAPI_SIZE(iommu_ioas_map_file, 40);
UAPI_FIELD(iommu_ioas_map_file, size, 0);
UAPI_FIELD(iommu_ioas_map_file, flags, 4);
UAPI_FIELD(iommu_ioas_map_file, ioas_id, 8);
UAPI_FIELD(iommu_ioas_map_file, fd, 12);
UAPI_FIELD(iommu_ioas_map_file, start, 16);
UAPI_FIELD(iommu_ioas_map_file, length, 24);
UAPI_FIELD(iommu_ioas_map_file, iova, 32);

struct iommu_ioas_change_process {
    uint32_t size, __reserved;
};
UAPI_SIZE(iommu_ioas_change_process, 8);
UAPI_FIELD(iommu_ioas_change_process, size, 0);
UAPI_FIELD(iommu_ioas_change_process, __reserved, 4);

struct iommu_ioas_unmap {
    uint32_t size, ioas_id;
    uint64_t iova, length; /* length out: bytes unmapped */
};
UAPI_SIZE(iommu_ioas_unmap, 24);
UAPI_FIELD(iommu_ioas_unmap, size, 0);
UAPI_FIELD(iommu_ioas_unmap, ioas_id, 4);
UAPI_FIELD(iommu_ioas_unmap, iova, 8);
UAPI_FIELD(iommu_ioas_unmap, length, 16);

enum { IOMMU_OPTION_RLIMIT_MODE = 0, IOMMU_OPTION_HUGE_PAGES = 1 };
enum { IOMMU_OPTION_OP_SET = 0, IOMMU_OPTION_OP_GET = 1 };
struct iommu_option {
    uint32_t size, option_id;
    uint16_t op, __reserved;
    uint32_t object_id;
    uint64_t val64;
};
UAPI_SIZE(iommu_option, 24);
UAPI_FIELD(iommu_option, size, 0);
UAPI_FIELD(iommu_option, option_id, 4);
UAPI_FIELD(iommu_option, op, 8);
UAPI_FIELD(iommu_option, __reserved, 10);
UAPI_FIELD(iommu_option, object_id, 12);
UAPI_FIELD(iommu_option, val64, 16);

enum { IOMMU_HWPT_ALLOC_NEST_PARENT = 1, IOMMU_HWPT_ALLOC_DIRTY_TRACKING = 2 };
struct iommu_hwpt_alloc {
    uint32_t size, flags, dev_id, pt_id, out_hwpt_id, __reserved, data_type, data_len;
    uint64_t data_uptr;
    uint32_t fault_id, __reserved2;
};
UAPI_SIZE(iommu_hwpt_alloc, 48);
UAPI_FIELD(iommu_hwpt_alloc, size, 0);
UAPI_FIELD(iommu_hwpt_alloc, flags, 4);
UAPI_FIELD(iommu_hwpt_alloc, dev_id, 8);
UAPI_FIELD(iommu_hwpt_alloc, pt_id, 12);
UAPI_FIELD(iommu_hwpt_alloc, out_hwpt_id, 16);
UAPI_FIELD(iommu_hwpt_alloc, __reserved, 20);
UAPI_FIELD(iommu_hwpt_alloc, data_type, 24);
UAPI_FIELD(iommu_hwpt_alloc, data_len, 28);
UAPI_FIELD(iommu_hwpt_alloc, data_uptr, 32);
UAPI_FIELD(iommu_hwpt_alloc, fault_id, 40);
UAPI_FIELD(iommu_hwpt_alloc, __reserved2, 44);

enum { IOMMU_HW_CAP_DIRTY_TRACKING = 1 };
struct iommu_hw_info {
    uint32_t size, flags, dev_id, data_len;
    uint64_t data_uptr;
    uint32_t out_data_type;
    uint8_t out_max_pasid_log2, __reserved[3];
    uint64_t out_capabilities;
};
UAPI_SIZE(iommu_hw_info, 40);
UAPI_FIELD(iommu_hw_info, size, 0);
UAPI_FIELD(iommu_hw_info, flags, 4);
UAPI_FIELD(iommu_hw_info, dev_id, 8);
UAPI_FIELD(iommu_hw_info, data_len, 12);
UAPI_FIELD(iommu_hw_info, data_uptr, 16);
UAPI_FIELD(iommu_hw_info, out_data_type, 24);
UAPI_FIELD(iommu_hw_info, out_max_pasid_log2, 28);
UAPI_FIELD(iommu_hw_info, __reserved, 29);
UAPI_FIELD(iommu_hw_info, out_capabilities, 32);

enum { IOMMU_HWPT_DIRTY_TRACKING_ENABLE = 1 };
struct iommu_hwpt_set_dirty_tracking {
    uint32_t size, flags, hwpt_id, __reserved;
};
UAPI_SIZE(iommu_hwpt_set_dirty_tracking, 16);
UAPI_FIELD(iommu_hwpt_set_dirty_tracking, size, 0);
UAPI_FIELD(iommu_hwpt_set_dirty_tracking, flags, 4);
UAPI_FIELD(iommu_hwpt_set_dirty_tracking, hwpt_id, 8);
UAPI_FIELD(iommu_hwpt_set_dirty_tracking, __reserved, 12);

enum { IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR = 1 };
struct iommu_hwpt_get_dirty_bitmap {
    uint32_t size, hwpt_id, flags, __reserved;
    uint64_t iova, length, page_size, data;
};
UAPI_SIZE(iommu_hwpt_get_dirty_bitmap, 48);
UAPI_FIELD(iommu_hwpt_get_dirty_bitmap, size, 0);
UAPI_FIELD(iommu_hwpt_get_dirty_bitmap, hwpt_id, 4);
UAPI_FIELD(iommu_hwpt_get_dirty_bitmap, flags, 8);
UAPI_FIELD(iommu_hwpt_get_dirty_bitmap, __reserved, 12);
UAPI_FIELD(iommu_hwpt_get_dirty_bitmap, iova, 16);
UAPI_FIELD(iommu_hwpt_get_dirty_bitmap, length, 24);
UAPI_FIELD(iommu_hwpt_get_dirty_bitmap, page_size, 32);
UAPI_FIELD(iommu_hwpt_get_dirty_bitmap, data, 40);

#undef UAPI_SIZE
#undef UAPI_FIELD
#undef UAPI_NUMBER

#endif
