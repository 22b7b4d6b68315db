/// The image that the guest executes.
import Foundation
import Plan

extension Firmware {
    /// The file's name in a side's folder.
    var file: String {
        switch self {
        case .halting: "halt.bin"
        case .dirtying: "dirty.bin"
        }
    }

    var image: Data {
        var image = Data(repeating: 0xf4, count: 64 << 10)
        let vector = image.count - 16
        switch self {
        case .halting:
            // cli; hlt; jmp to hlt, at the reset vector.
            image.replaceSubrange(vector..<vector + 4, with: [0xfa, 0xf4, 0xeb, 0xfd])
        case .dirtying(let pages, let hertz):
            let (code, start) = dirtyingCode(pages: UInt32(pages), divisor: UInt16(clamping: timerHertz / hertz))
            image.replaceSubrange(0..<code.count, with: code)
            image.replaceSubrange(vector..<vector + 5, with: [0xea] + bytes(UInt16(start)) + bytes(segment))
        }
        return image
    }
}

/// The 8254's input.
private let timerHertz = 1_193_182
/// The image's segment in real mode.
private let segment: UInt16 = 0xf000
/// Which word of a page is written; the stack lies below it in the first page.
private let wordInPage = UInt32(Firmware.wordInPage)

private func bytes<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

/// The code, and where it begins. It stays in real mode, where an interrupt needs one word of table, with a 4 GiB limit left in ES.
private func dirtyingCode(pages: UInt32, divisor: UInt16) -> (code: [UInt8], start: Int) {
    var code: [UInt8] = []
    // The descriptor table: none, and 4 GiB of data.
    code += bytes(UInt64(0)) + bytes(UInt64(0x00cf_9200_0000_ffff))
    let table = UInt8(code.count)
    code += bytes(UInt16(15)) + bytes(UInt32(segment) << 4)
    // The timer's interrupt only ends the halt.
    let tick = UInt16(code.count)
    code += [0x50]  //                                          push ax
    code += [0xb0, 0x20, 0xe6, 0x20]  //                        the interrupt controller may send the next: out 0x20, 0x20
    code += [0x58, 0xcf]  //                                    pop ax; iret
    let start = code.count
    code += [0xfa]  //                                          cli
    code += [0x2e, 0x66, 0x0f, 0x01, 0x16, table, 0x00]  //     lgdt cs:[table]
    code += [0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0]  // protected mode on: cr0 |= 1
    code += [0xbb, 0x08, 0x00, 0x8e, 0xc3]  //                  mov es, 8
    code += [0x24, 0xfe, 0x0f, 0x22, 0xc0]  //                  and off: cr0 &= ~1
    code += [0xea] + bytes(UInt16(code.count + 5)) + bytes(segment)
    code += [0x31, 0xc0, 0x8e, 0xd8]  //                        mov ds, 0
    code += [0xb8, 0xff, 0xff, 0x8e, 0xd0]  //                  mov ss, 0xffff: the stack is in the first page that is written
    code += [0xbc, 0x10, 0x04]  //                              mov sp, 0x0410
    code += [0xc7, 0x06, 0x20, 0x00] + bytes(tick)  //          interrupt 8 is the handler's: mov [0x20], tick
    code += [0xc7, 0x06, 0x22, 0x00] + bytes(segment)  //       mov [0x22], segment
    // The local APIC passes the interrupt controller's line on: LVT0 unmasked, ExtINT.
    code += [0x66, 0xbf] + bytes(UInt32(0xfee0_0350))  //       mov edi, LVT0
    code += [0x26, 0x67, 0x66, 0xc7, 0x07] + bytes(UInt32(0x700))  // mov es:[edi], 0x700
    // The interrupt controller: edge triggered, from 8 on, the timer alone unmasked.
    for (port, value) in [(0x20, 0x11), (0x21, 0x08), (0x21, 0x04), (0x21, 0x01), (0x21, 0xfe)] as [(UInt8, UInt8)] {
        code += [0xb0, value, 0xe6, port]  //                   out port, value
    }
    // The timer: channel 0, rate generator.
    for (port, value) in [(0x43, 0x34), (0x40, UInt8(divisor & 0xff)), (0x40, UInt8(divisor >> 8))] as [(UInt8, UInt8)] {
        code += [0xb0, value, 0xe6, port]
    }
    code += [0x66, 0x31, 0xd2]  //                              xor edx, edx: passes
    let pass = code.count
    code += [0xfb, 0xf4, 0xfa]  //                              sti; hlt; cli
    code += [0x66, 0x42]  //                                    inc edx
    code += [0x66, 0xbf] + bytes(UInt32(Firmware.firstPage))  // mov edi, first page
    code += [0x66, 0xb9] + bytes(pages)  //                     mov ecx, pages
    let page = code.count
    code += [0x26, 0x67, 0x66, 0x89, 0x97] + bytes(wordInPage)  // mov es:[edi + word], edx
    code += [0x66, 0x81, 0xc7] + bytes(UInt32(Firmware.pageSize))  // add edi, 4096
    code += [0x66, 0x49]  //                                    dec ecx
    code += [0x75, UInt8(bitPattern: Int8(page - (code.count + 2)))]  // jnz page
    code += [0xeb, UInt8(bitPattern: Int8(pass - (code.count + 2)))]  // jmp pass
    return (code, start)
}
