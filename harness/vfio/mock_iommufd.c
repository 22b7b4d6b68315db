/*
 * The iommufd model: identifiers, the mappings of each address space, and an answer to every call that
 * QEMU makes before and while it uses a device. Memory is never really mapped and no page is ever dirty.
 */
#include <stdlib.h>

#include "mock_call.h"

enum {
    MAX_OBJECTS = 256,
    MAX_MAPPINGS = 4096,
    MAX_ARGUMENT = 4096, /* bytes of a structure, known part and zero tail */
    MAX_HW_DATA = 65536,
    PAGE = 4096,
};

/* Where a mapping may lie: everything below 2^48 but the interrupt window of x86. */
static const struct iommu_iova_range allowed[] = {{0, 0xfedfffff}, {0xfef00000, ((uint64_t)1 << 48) - 1}};
enum { ALLOWED = sizeof allowed / sizeof *allowed };

enum object_kind { OBJECT_NONE, OBJECT_IOAS, OBJECT_HWPT };
struct object {
    enum object_kind kind;
    uint32_t id, ioas; /* ioas: of a HWPT */
    bool can_track, tracks;
};
struct mapping {
    uint32_t ioas; /* 0: free */
    bool is_of_file; /* of a file's memory, and not of an address of the process */
    uint64_t iova, last;
};

struct mock_iommufd {
    struct mock_world world;
    char name[MOCK_NAME_SIZE];
    uint64_t events;
    uint32_t last_id;
    struct object objects[MAX_OBJECTS];
    struct mapping mappings[MAX_MAPPINGS];
};

static struct object *find(struct mock_iommufd *iommufd, enum object_kind kind, uint32_t id) {
    for (size_t i = 0; i < MAX_OBJECTS; i++) {
        struct object *object = &iommufd->objects[i];
        if (object->kind == kind && object->id == id) return object;
    }
    return NULL;
}

static struct object *add(struct mock_iommufd *iommufd, enum object_kind kind) {
    for (size_t i = 0; i < MAX_OBJECTS; i++) {
        struct object *object = &iommufd->objects[i];
        if (object->kind != OBJECT_NONE) continue;
        *object = (struct object){.kind = kind, .id = ++iommufd->last_id};
        return object;
    }
    return NULL;
}

static bool is_device(uint32_t id) { return (id & MOCK_DEVICE_ID) != 0; }

static int destroy(struct mock_iommufd *iommufd, void *argument) {
    uint32_t id = ((struct iommu_destroy *)argument)->id;
    struct object *object = find(iommufd, OBJECT_IOAS, id);
    if (object == NULL) object = find(iommufd, OBJECT_HWPT, id);
    if (object == NULL) return -ENOENT;
    if (object->kind == OBJECT_IOAS) {
        for (size_t i = 0; i < MAX_OBJECTS; i++) {
            if (iommufd->objects[i].kind == OBJECT_HWPT && iommufd->objects[i].ioas == id) return -EBUSY;
        }
        for (size_t i = 0; i < MAX_MAPPINGS; i++) {
            if (iommufd->mappings[i].ioas == id) iommufd->mappings[i].ioas = 0;
        }
    }
    object->kind = OBJECT_NONE;
    return 0;
}

static int ioas_alloc(struct mock_iommufd *iommufd, void *argument) {
    struct iommu_ioas_alloc *alloc = argument;
    if (alloc->flags != 0) return -EOPNOTSUPP;
    struct object *ioas = add(iommufd, OBJECT_IOAS);
    if (ioas == NULL) return -ENOMEM;
    alloc->out_ioas_id = ioas->id;
    return 0;
}

/* Says how many ranges there are, and fills them in where the caller left room for all. */
static int ioas_iova_ranges(struct mock_iommufd *iommufd, void *argument) {
    struct iommu_ioas_iova_ranges *ranges = argument;
    if (ranges->__reserved != 0) return -EOPNOTSUPP;
    if (find(iommufd, OBJECT_IOAS, ranges->ioas_id) == NULL) return -ENOENT;
    uint32_t room = ranges->num_iovas;
    ranges->num_iovas = ALLOWED;
    ranges->out_iova_alignment = PAGE;
    for (uint32_t i = 0; i < room && i < ALLOWED; i++) {
        if (mock_copy_out(&iommufd->world, ranges->allowed_iovas + i * sizeof *allowed, &allowed[i], sizeof *allowed) != 0) return -EFAULT;
    }
    return room < ALLOWED ? -EMSGSIZE : 0;
}

static int map(struct mock_iommufd *iommufd, uint32_t ioas, bool is_of_file, uint32_t flags, uint64_t from, uint64_t length, uint64_t iova) {
    uint32_t known = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE;
    if ((flags & ~known) != 0 || (flags & IOMMU_IOAS_MAP_FIXED_IOVA) == 0) return -EOPNOTSUPP;
    if (find(iommufd, OBJECT_IOAS, ioas) == NULL) return -ENOENT;
    if (length == 0 || (from | length | iova) % PAGE != 0) return -EINVAL;
    uint64_t last = iova + (length - 1);
    if (last < iova || from + (length - 1) < from) return -EOVERFLOW;
    bool inside = false;
    for (size_t i = 0; i < ALLOWED; i++) inside |= iova >= allowed[i].start && last <= allowed[i].last;
    if (!inside) return -EINVAL;
    struct mapping *free_slot = NULL;
    for (size_t i = 0; i < MAX_MAPPINGS; i++) {
        struct mapping *mapping = &iommufd->mappings[i];
        if (mapping->ioas == 0 && free_slot == NULL) free_slot = mapping;
        if (mapping->ioas == ioas && mapping->iova <= last && iova <= mapping->last) return -EEXIST;
    }
    if (free_slot == NULL) return -ENOSPC;
    *free_slot = (struct mapping){.ioas = ioas, .is_of_file = is_of_file, .iova = iova, .last = last};
    return 0;
}

static int ioas_map(struct mock_iommufd *iommufd, void *argument) {
    const struct iommu_ioas_map *request = argument;
    if (request->__reserved != 0) return -EOPNOTSUPP;
    return map(iommufd, request->ioas_id, false, request->flags, request->user_va, request->length, request->iova);
}

static int ioas_map_file(struct mock_iommufd *iommufd, void *argument) {
    const struct iommu_ioas_map_file *request = argument;
    if (request->fd < 0) return -EBADF;
    return map(iommufd, request->ioas_id, true, request->flags, request->start, request->length, request->iova);
}

/* Mappings are removed whole: a range that cuts one is refused. From 0 with the largest length means all there are, be it none. */
static int ioas_unmap(struct mock_iommufd *iommufd, void *argument) {
    struct iommu_ioas_unmap *request = argument;
    uint32_t ioas = request->ioas_id;
    if (find(iommufd, OBJECT_IOAS, ioas) == NULL) return -ENOENT;
    if (request->length == 0) return -EINVAL;
    uint64_t first = request->iova, last = first + (request->length - 1), unmapped = 0;
    if (last < first) return -EOVERFLOW;
    for (size_t i = 0; i < MAX_MAPPINGS; i++) {
        const struct mapping *mapping = &iommufd->mappings[i];
        if (mapping->ioas != ioas || mapping->iova > last || mapping->last < first) continue;
        if (mapping->iova < first || mapping->last > last) return -ENOENT;
    }
    for (size_t i = 0; i < MAX_MAPPINGS; i++) {
        struct mapping *mapping = &iommufd->mappings[i];
        if (mapping->ioas != ioas || mapping->iova > last || mapping->last < first) continue;
        unmapped += mapping->last - mapping->iova + 1;
        mapping->ioas = 0;
    }
    bool everything = request->iova == 0 && request->length == UINT64_MAX;
    request->length = unmapped;
    return unmapped == 0 && !everything ? -ENOENT : 0;
}

/*
 * Makes the calling process the owner of all mappings, which only those of files allow. QEMU asks from 10.2 on before it maps anything,
 * to learn whether the kernel has the call (10.2.0 crashes where it is refused).
 */
static int ioas_change_process(struct mock_iommufd *iommufd, void *argument) {
    const struct iommu_ioas_change_process *request = argument;
    if (request->__reserved != 0) return -EOPNOTSUPP;
    for (size_t i = 0; i < MAX_MAPPINGS; i++) {
        if (iommufd->mappings[i].ioas != 0 && !iommufd->mappings[i].is_of_file) return -EINVAL;
    }
    return 0;
}

static int option(struct mock_iommufd *iommufd, void *argument) {
    struct iommu_option *request = argument;
    if (request->__reserved != 0) return -EOPNOTSUPP;
    bool huge_pages = request->option_id == IOMMU_OPTION_HUGE_PAGES;
    if (!huge_pages && request->option_id != IOMMU_OPTION_RLIMIT_MODE) return -EOPNOTSUPP;
    if (huge_pages && find(iommufd, OBJECT_IOAS, request->object_id) == NULL) return -ENOENT;
    if (request->op == IOMMU_OPTION_OP_SET) return request->val64 > 1 ? -EINVAL : 0;
    if (request->op != IOMMU_OPTION_OP_GET) return -EOPNOTSUPP;
    request->val64 = huge_pages;
    return 0;
}

static int hwpt_alloc(struct mock_iommufd *iommufd, void *argument) {
    struct iommu_hwpt_alloc *alloc = argument;
    uint32_t known = IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
    if ((alloc->flags & ~known) != 0 || alloc->__reserved != 0 || alloc->__reserved2 != 0) return -EOPNOTSUPP;
    if (alloc->data_type != 0 || alloc->data_len != 0) return -EOPNOTSUPP;
    if (!is_device(alloc->dev_id) || find(iommufd, OBJECT_IOAS, alloc->pt_id) == NULL) return -ENOENT;
    struct object *hwpt = add(iommufd, OBJECT_HWPT);
    if (hwpt == NULL) return -ENOMEM;
    hwpt->ioas = alloc->pt_id;
    hwpt->can_track = (alloc->flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING) != 0;
    alloc->out_hwpt_id = hwpt->id;
    return 0;
}

/* No vendor data, so what the caller has room for is zeroed. */
static int get_hw_info(struct mock_iommufd *iommufd, void *argument) {
    struct iommu_hw_info *info = argument;
    if (info->flags != 0) return -EOPNOTSUPP;
    if (!is_device(info->dev_id)) return -ENOENT;
    if (info->data_len > MAX_HW_DATA) return -E2BIG;
    if (info->data_len > 0) {
        void *data = mock_pin(&iommufd->world, info->data_uptr, info->data_len, true);
        if (data == NULL) return -EFAULT;
        memset(data, 0, info->data_len);
    }
    info->data_len = 0;
    info->out_data_type = 0;
    info->out_max_pasid_log2 = 0;
    info->out_capabilities = IOMMU_HW_CAP_DIRTY_TRACKING;
    return 0;
}

static int hwpt_set_dirty_tracking(struct mock_iommufd *iommufd, void *argument) {
    const struct iommu_hwpt_set_dirty_tracking *request = argument;
    if ((request->flags & ~(uint32_t)IOMMU_HWPT_DIRTY_TRACKING_ENABLE) != 0) return -EOPNOTSUPP;
    struct object *hwpt = find(iommufd, OBJECT_HWPT, request->hwpt_id);
    if (hwpt == NULL) return -ENOENT;
    if (!hwpt->can_track) return -EOPNOTSUPP;
    hwpt->tracks = (request->flags & IOMMU_HWPT_DIRTY_TRACKING_ENABLE) != 0;
    return 0;
}

/* A report only ever sets bits, and nothing is dirty: the bitmap is checked and left alone. */
static int hwpt_get_dirty_bitmap(struct mock_iommufd *iommufd, void *argument) {
    const struct iommu_hwpt_get_dirty_bitmap *request = argument;
    if ((request->flags & ~(uint32_t)IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR) != 0 || request->__reserved != 0) return -EOPNOTSUPP;
    const struct object *hwpt = find(iommufd, OBJECT_HWPT, request->hwpt_id);
    if (hwpt == NULL) return -ENOENT;
    uint64_t page = request->page_size;
    if (!hwpt->tracks || page < PAGE || (page & (page - 1)) != 0 || request->length == 0) return -EINVAL;
    if ((request->iova | request->length) % page != 0) return -EINVAL;
    if (request->iova + (request->length - 1) < request->iova) return -EOVERFLOW;
    uint64_t pages = request->length / page, bytes = (pages + 63) / 64 * 8;
    return mock_pin(&iommufd->world, request->data, (size_t)bytes, true) == NULL ? -EFAULT : 0;
}

struct operation {
    uint32_t request;
    const char *name;
    size_t least, size; /* of the structure's first version, and as known here */
    int (*handle)(struct mock_iommufd *, void *argument);
};

/* The first version of a structure ended with `last`. */
#define OPERATION(request, name, type, last, handle) \
    {request, name, offsetof(struct type, last) + sizeof ((struct type *)0)->last, sizeof(struct type), handle}
static const struct operation operations[] = {
    OPERATION(IOMMU_DESTROY, "destroy", iommu_destroy, id, destroy),
    OPERATION(IOMMU_IOAS_ALLOC, "ioas-alloc", iommu_ioas_alloc, out_ioas_id, ioas_alloc),
    OPERATION(IOMMU_IOAS_IOVA_RANGES, "ioas-iova-ranges", iommu_ioas_iova_ranges, out_iova_alignment, ioas_iova_ranges),
    OPERATION(IOMMU_IOAS_MAP, "ioas-map", iommu_ioas_map, iova, ioas_map),
    OPERATION(IOMMU_IOAS_MAP_FILE, "ioas-map-file", iommu_ioas_map_file, iova, ioas_map_file),
    OPERATION(IOMMU_IOAS_UNMAP, "ioas-unmap", iommu_ioas_unmap, length, ioas_unmap),
    OPERATION(IOMMU_IOAS_CHANGE_PROCESS, "ioas-change-process", iommu_ioas_change_process, __reserved, ioas_change_process),
    OPERATION(IOMMU_OPTION, "option", iommu_option, val64, option),
    OPERATION(IOMMU_HWPT_ALLOC, "hwpt-alloc", iommu_hwpt_alloc, __reserved, hwpt_alloc),
    OPERATION(IOMMU_GET_HW_INFO, "get-hw-info", iommu_hw_info, __reserved, get_hw_info),
    OPERATION(IOMMU_HWPT_SET_DIRTY_TRACKING, "hwpt-set-dirty-tracking", iommu_hwpt_set_dirty_tracking, __reserved, hwpt_set_dirty_tracking),
    OPERATION(IOMMU_HWPT_GET_DIRTY_BITMAP, "hwpt-get-dirty-bitmap", iommu_hwpt_get_dirty_bitmap, data, hwpt_get_dirty_bitmap),
};

static void tell(struct mock_iommufd *iommufd, struct mock_event event) {
    event.sequence = ++iommufd->events;
    event.device = iommufd->name;
    iommufd->world.event(iommufd->world.context, &event);
}

static int operate(struct mock_iommufd *iommufd, const struct operation *operation, uint64_t address) {
    union {
        uint32_t size;
        uint64_t alignment;
        uint8_t bytes[64];
    } argument = {0};
    _Static_assert(sizeof argument >= sizeof(struct iommu_hwpt_alloc) && sizeof argument >= sizeof(struct iommu_hwpt_get_dirty_bitmap), "room");
    uint32_t size;
    if (mock_copy_in(&iommufd->world, &size, address, sizeof size) != 0) return -EFAULT;
    if (size < operation->least) return -EINVAL;
    if (size > MAX_ARGUMENT) return -E2BIG;
    uint8_t *bytes = mock_pin(&iommufd->world, address, size, true);
    if (bytes == NULL) return -EFAULT;
    for (size_t i = operation->size; i < size; i++) {
        if (bytes[i] != 0) return -E2BIG;
    }
    size_t known = size < operation->size ? size : operation->size;
    memcpy(argument.bytes, bytes, known);
    int result = operation->handle(iommufd, argument.bytes);
    if (result == 0 || result == -EMSGSIZE) memcpy(bytes, argument.bytes, known);
    return result;
}

struct mock_outcome mock_iommufd_ioctl(struct mock_iommufd *iommufd, uint64_t request, uint64_t argument) {
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (operations[i].request != request) continue;
        int result = operate(iommufd, &operations[i], argument);
        tell(iommufd, (struct mock_event){.kind = MOCK_EVENT_CALL, .word = operations[i].name, .ret = result});
        return mock_outcome_of(result);
    }
    tell(iommufd, (struct mock_event){.kind = MOCK_EVENT_UNKNOWN, .a = request});
    return mock_outcome_of(-ENOTTY);
}

struct mock_iommufd *mock_iommufd_create(const char *name, const struct mock_world *world) {
    struct mock_iommufd *iommufd = calloc(1, sizeof *iommufd);
    if (iommufd == NULL) return NULL;
    iommufd->world = *world;
    for (size_t i = 0; i + 1 < sizeof iommufd->name && name[i] != '\0'; i++) iommufd->name[i] = name[i];
    return iommufd;
}

void mock_iommufd_destroy(struct mock_iommufd *iommufd) { free(iommufd); }
