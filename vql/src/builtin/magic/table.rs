//! The kinds of files that are known without rules of one's own.

use super::Kind;

/// Kinds that are told by bytes at a place alone: place, bytes, description, MIME type, endings. The longer and the more
/// special stand first.
const TABLE: &[(usize, &[u8], &str, &str, &str)] = &[
    (0, b"\x1f\x8b", "gzip compressed data", "application/gzip", "gz/tgz"),
    (0, b"BZh", "bzip2 compressed data", "application/x-bzip2", "bz2"),
    (0, b"\xfd7zXZ\0", "XZ compressed data", "application/x-xz", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard compressed data (v0.8+)", "application/zstd", "zst"),
    (0, b"\x04\x22\x4d\x18", "LZ4 compressed data (v1.4+)", "application/x-lz4", "lz4"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-zip archive data", "application/x-7z-compressed", "7z/cb7"),
    (0, b"Rar!\x1a\x07\x01\0", "RAR archive data, v5", "application/x-rar", "rar/cbr"),
    (0, b"Rar!\x1a\x07\0", "RAR archive data", "application/x-rar", "rar/cbr"),
    (0, b"MSCF\0\0\0\0", "Microsoft Cabinet archive data", "application/vnd.ms-cab-compressed", "cab"),
    (257, b"ustar\0", "POSIX tar archive", "application/x-tar", "tar"),
    (257, b"ustar  \0", "POSIX tar archive (GNU)", "application/x-tar", "tar"),
    (0, b"070701", "ASCII cpio archive (SVR4 with no CRC)", "application/x-cpio", "cpio"),
    (0, b"070707", "ASCII cpio archive (pre-SVR4 or odc)", "application/x-cpio", "cpio"),
    (0, b"!<arch>\ndebian", "Debian binary package (format 2.0)", "application/vnd.debian.binary-package", "deb"),
    (0, b"!<arch>\n", "current ar archive", "application/x-archive", "a/lib"),
    (0, b"\xed\xab\xee\xdb", "RPM", "application/x-rpm", "rpm"),
    (32769, b"CD001", "ISO 9660 CD-ROM filesystem data", "application/x-iso9660-image", "iso/iso9660"),
    (0, b"hsqs", "Squashfs filesystem, little endian", "application/vnd.squashfs", "sqsh"),
    (0, b"GIF87a", "GIF image data, version 87a", "image/gif", "gif"),
    (0, b"GIF89a", "GIF image data, version 89a", "image/gif", "gif"),
    (0, b"\xff\xd8\xff", "JPEG image data", "image/jpeg", "jpeg/jpg/jpe/jfif"),
    (0, b"II*\0", "TIFF image data, little-endian", "image/tiff", "tif/tiff"),
    (0, b"MM\0*", "TIFF image data, big-endian", "image/tiff", "tif/tiff"),
    (0, b"8BPS", "Adobe Photoshop Image", "image/vnd.adobe.photoshop", "psd"),
    (0, b"\0\0\x01\0", "MS Windows icon resource", "image/vnd.microsoft.icon", "ico"),
    (0, b"%!PS", "PostScript document text", "application/postscript", "ps/eps/ai"),
    (0, b"{\\rtf", "Rich Text Format data", "text/rtf", "rtf"),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "Composite Document File V2 Document",
        "application/CDFV2",
        "doc/xls/ppt/msi/msg",
    ),
    (0, b"ITSF\x03\0\0\0", "MS Windows HtmlHelp Data", "application/vnd.ms-htmlhelp", "chm"),
    (0, b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F", "MS Windows shortcut", "application/x-ms-shortcut", "lnk"),
    (0, b"regf", "MS Windows registry file, NT/2000 or above", "application/x-ms-registry", "dat/hiv"),
    (0, b"ElfFile\0", "MS Windows Vista Event Log", "application/x-ms-evtx", "evtx"),
    (4, b"SCCA", "MS Windows prefetch file", "application/x-ms-prefetch", "pf"),
    (0, b"MAM\x04", "MS Windows compressed prefetch file, Windows 10", "application/x-ms-prefetch", "pf"),
    (4, b"\xef\xcd\xab\x89", "Extensible storage engine DataBase", "application/x-ms-ese", "edb/dat/sdb"),
    (0, b"SQLite format 3\0", "SQLite 3.x database", "application/vnd.sqlite3", "sqlite/sqlite3/db"),
    (0, b"bplist00", "Apple binary property list", "application/x-bplist", "plist"),
    (
        0,
        b"\xca\xfe\xba\xbe\0\0\0\x02",
        "Mach-O universal binary with 2 architectures",
        "application/x-mach-binary",
        "dylib/bundle",
    ),
    (0, b"\xca\xfe\xba\xbe", "compiled Java class data", "application/x-java-applet", "class"),
    (0, b"\xcf\xfa\xed\xfe", "Mach-O 64-bit executable", "application/x-mach-binary", "dylib/bundle"),
    (0, b"\xce\xfa\xed\xfe", "Mach-O executable", "application/x-mach-binary", "dylib/bundle"),
    (0, b"dex\n", "Dalvik dex file", "application/octet-stream", "dex"),
    (0, b"\0asm\x01\0\0\0", "WebAssembly (wasm) binary module version 0x1 (MVP)", "application/wasm", "wasm"),
    (0, b"\x1bLua", "Lua bytecode", "application/x-lua-bytecode", "luac"),
    (0, b"ID3", "Audio file with ID3", "audio/mpeg", "mp3"),
    (0, b"fLaC", "FLAC audio bitstream data", "audio/flac", "flac"),
    (0, b"OggS", "Ogg data", "application/ogg", "ogg/oga/ogv"),
    (0, b"MThd", "Standard MIDI data", "audio/midi", "mid/midi"),
    (0, b"\x1aE\xdf\xa3", "Matroska data", "video/x-matroska", "mkv/webm"),
    (0, b"FLV\x01", "Macromedia Flash Video", "video/x-flv", "flv"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Microsoft ASF", "video/x-ms-asf", "asf/wma/wmv"),
    (0, b"wOFF", "Web Open Font Format", "font/woff", "woff"),
    (0, b"wOF2", "Web Open Font Format (Version 2)", "font/woff2", "woff2"),
    (0, b"OTTO", "OpenType font data", "application/vnd.ms-opentype", "otf"),
    (0, b"\0\x01\0\0\0", "TrueType Font data", "font/sfnt", "ttf/tte"),
    (
        0,
        b"\xd4\xc3\xb2\xa1",
        "pcap capture file, microsecond ts (little-endian)",
        "application/vnd.tcpdump.pcap",
        "pcap",
    ),
    (0, b"\xa1\xb2\xc3\xd4", "pcap capture file, microsecond ts (big-endian)", "application/vnd.tcpdump.pcap", "pcap"),
    (0, b"\x0a\x0d\x0d\x0a", "pcapng capture file", "application/vnd.tcpdump.pcap", "pcapng"),
    (0, b"KDMV", "VMware4 disk image", "application/x-vmdk", "vmdk"),
    (0, b"vhdxfile", "Microsoft Disk Image eXtended", "application/x-vhdx", "vhdx"),
    (0, b"QFI\xfb", "QEMU QCOW Image", "application/x-qemu-disk", "qcow/qcow2"),
    (0, b"EVF\x09\x0d\x0a\xff\0", "EWF/Expert Witness/EnCase image file format", "application/x-ewf", "e01"),
    (0, b"!BDN", "Microsoft Outlook email folder", "application/vnd.ms-outlook", "pst/ost"),
    (0, b"-----BEGIN CERTIFICATE", "PEM certificate", "text/plain", "pem/crt"),
    (0, b"-----BEGIN OPENSSH PRIVATE KEY", "OpenSSH private key", "text/plain", ""),
    (0, b"-----BEGIN RSA PRIVATE KEY", "PEM RSA private key", "text/plain", "pem/key"),
    (0, b"-----BEGIN PGP", "PGP message", "application/pgp-encrypted", "asc"),
    (0, b"LPKSHHRH", "systemd journal", "application/octet-stream", "journal"),
    (0, b"LUKS\xba\xbe", "LUKS encrypted file", "application/x-luks", ""),
];

pub(super) fn find(head: &[u8]) -> Kind {
    if head.is_empty() {
        return Kind::new("empty", "inode/x-empty", "");
    }
    if let Some(kind) = computed(head) {
        return kind;
    }
    let known = TABLE.iter().find(|(at, bytes, ..)| head.get(*at..).is_some_and(|rest| rest.starts_with(bytes)));
    match known {
        Some((_, _, text, mime, endings)) => Kind::new(*text, mime, endings),
        None => text(head).unwrap_or_else(|| Kind::new("data", "application/octet-stream", "")),
    }
}

/// A little-endian number; 0 past the end.
fn le(head: &[u8], at: usize, size: usize) -> u64 {
    let bytes = head.get(at..at + size).unwrap_or(&[]);
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn be(head: &[u8], at: usize, size: usize) -> u64 {
    let bytes = head.get(at..at + size).unwrap_or(&[]);
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Kinds of which more than their name is said.
fn computed(head: &[u8]) -> Option<Kind> {
    if head.starts_with(b"\x7fELF") && head.len() >= 20 {
        return Some(elf(head));
    }
    if head.starts_with(b"MZ") {
        return Some(windows(head));
    }
    if head.starts_with(b"\x89PNG\r\n\x1a\n") {
        let colour = match head.get(25) {
            Some(0) => "grayscale",
            Some(2) => "/color RGB",
            Some(3) => " colormap",
            Some(4) => " gray+alpha",
            Some(6) => "/color RGBA",
            _ => "",
        };
        let colour = if colour == "grayscale" { " grayscale" } else { colour };
        let laced = if head.get(28) == Some(&1) { "interlaced" } else { "non-interlaced" };
        let (width, height, depth) = (be(head, 16, 4), be(head, 20, 4), head.get(24).copied().unwrap_or(0));
        let text = format!("PNG image data, {width} x {height}, {depth}-bit{colour}, {laced}");
        return Some(Kind::new(text, "image/png", "png"));
    }
    if head.starts_with(b"GIF8") && head.len() >= 10 {
        let version = String::from_utf8_lossy(&head[3..6]);
        let text = format!("GIF image data, version {version}, {} x {}", le(head, 6, 2), le(head, 8, 2));
        return Some(Kind::new(text, "image/gif", "gif"));
    }
    if head.starts_with(b"BM") && head.len() >= 30 && le(head, 14, 4) <= 124 && le(head, 6, 4) == 0 {
        let text =
            format!("PC bitmap, Windows 3.x format, {} x {} x {}", le(head, 18, 4), le(head, 22, 4), le(head, 28, 2));
        return Some(Kind::new(text, "image/bmp", "bmp"));
    }
    if head.starts_with(b"%PDF-") {
        let version: String = head[5..]
            .iter()
            .take(8)
            .take_while(|b| b.is_ascii_digit() || **b == b'.')
            .map(|b| char::from(*b))
            .collect();
        return Some(Kind::new(format!("PDF document, version {version}"), "application/pdf", "pdf"));
    }
    if head.starts_with(b"PK\x03\x04") {
        return Some(zip(head));
    }
    if head.starts_with(b"PK\x05\x06") {
        return Some(Kind::new("Zip archive data (empty)", "application/zip", "zip"));
    }
    if head.starts_with(b"RIFF") && head.len() >= 12 {
        let (text, mime, endings) = match &head[8..12] {
            b"WAVE" => ("WAVE audio", "audio/x-wav", "wav"),
            b"AVI " => ("AVI", "video/x-msvideo", "avi"),
            b"WEBP" => ("Web/P image", "image/webp", "webp"),
            _ => ("unknown kind", "application/octet-stream", ""),
        };
        return Some(Kind::new(format!("RIFF (little-endian) data, {text}"), mime, endings));
    }
    if head.get(4..8) == Some(b"ftyp") {
        let (text, mime, endings) = match head.get(8..12) {
            Some(b"qt  ") => ("Apple QuickTime movie", "video/quicktime", "mov"),
            Some(b"heic" | b"heix" | b"mif1") => ("HEIF Image", "image/heic", "heic"),
            Some(b"avif") => ("AVIF Image", "image/avif", "avif"),
            Some(b"M4A ") => ("Apple iTunes ALAC/AAC-LC (.M4A) Audio", "audio/x-m4a", "m4a"),
            _ => ("MP4", "video/mp4", "mp4"),
        };
        return Some(Kind::new(format!("ISO Media, {text}"), mime, endings));
    }
    if matches!(head, [0xff, second, ..] if second & 0xe6 == 0xe2) && head.len() > 3 {
        return Some(Kind::new("MPEG ADTS, layer III", "audio/mpeg", "mp3"));
    }
    if head.get(1080..1082) == Some(b"\x53\xef") {
        return Some(Kind::new("Linux ext2/ext3/ext4 filesystem data", "application/octet-stream", ""));
    }
    if head.get(510..512) == Some(b"\x55\xaa") {
        let text = match (head.get(3..11), head.get(54..59), head.get(82..87)) {
            (Some(b"NTFS    "), ..) => "DOS/MBR boot sector, NTFS",
            (_, Some(b"FAT12" | b"FAT16"), _) | (.., Some(b"FAT32")) => "DOS/MBR boot sector, FAT",
            _ => "DOS/MBR boot sector",
        };
        return Some(Kind::new(text, "application/octet-stream", "img"));
    }
    None
}

fn elf(head: &[u8]) -> Kind {
    let big = head[5] == 2;
    let half = |at: usize| if big { be(head, at, 2) } else { le(head, at, 2) };
    let (word, order) = (if head[4] == 1 { "32-bit" } else { "64-bit" }, if big { "MSB" } else { "LSB" });
    let (kind, mime) = match half(16) {
        1 => ("relocatable", "application/x-object"),
        2 => ("executable", "application/x-executable"),
        3 => match interpreted(head) {
            true => ("pie executable", "application/x-pie-executable"),
            false => ("shared object", "application/x-sharedlib"),
        },
        4 => ("core file", "application/x-coredump"),
        _ => ("unknown type", "application/octet-stream"),
    };
    let machine = match half(18) {
        0x03 => "Intel 80386",
        0x08 => "MIPS",
        0x14 => "PowerPC or cisco 4500",
        0x15 => "64-bit PowerPC or cisco 7500",
        0x16 => "IBM S/390",
        0x28 => "ARM",
        0x2a => "Renesas SH",
        0x2b => "SPARC V9",
        0x3e => "x86-64",
        0xb7 => "ARM aarch64",
        0xf3 => "UCB RISC-V",
        0x102 => "LoongArch",
        _ => "unknown machine",
    };
    let system = match head[7] {
        0 => "SYSV",
        3 => "GNU/Linux",
        9 => "FreeBSD",
        other => return Kind::new(format!("ELF {word} {order} {kind}, {machine}, version 1 (ABI {other})"), mime, ""),
    };
    let linked = match half(16) {
        2 | 3 if interpreted(head) => ", dynamically linked",
        2 => ", statically linked",
        3 => ", dynamically linked",
        _ => "",
    };
    Kind::new(
        format!("ELF {word} {order} {kind}, {machine}, version 1 ({system}){linked}"),
        mime,
        if half(16) == 3 { "so" } else { "" },
    )
}

/// Whether the program headers name an interpreter.
fn interpreted(head: &[u8]) -> bool {
    let (big, wide) = (head[5] == 2, head[4] == 2);
    let number = |at: usize, size: usize| if big { be(head, at, size) } else { le(head, at, size) };
    let (table, size, count) = match wide {
        true => (number(32, 8), number(54, 2), number(56, 2)),
        false => (number(28, 4), number(42, 2), number(44, 2)),
    };
    let size = size.max(32);
    (0..count.min(64)).any(|i| {
        let at = table.saturating_add(i * size);
        usize::try_from(at).is_ok_and(|at| at < head.len() && number(at, 4) == 3)
    })
}

fn windows(head: &[u8]) -> Kind {
    let mime = "application/vnd.microsoft.portable-executable";
    let at = le(head, 60, 4) as usize;
    if head.get(at..at.saturating_add(4)) != Some(b"PE\0\0") {
        let text = match head.get(at..at.saturating_add(2)) {
            Some(b"NE") => "MS-DOS executable, NE for MS Windows",
            _ => "MS-DOS executable",
        };
        return Kind::new(text, "application/x-dosexec", "exe/com");
    }
    let machine = match le(head, at + 4, 2) {
        0x14c => "Intel i386",
        0x8664 => "x86-64",
        0x1c0 | 0x1c4 => "ARMv7 Thumb",
        0xaa64 => "Aarch64",
        _ => "unknown processor",
    };
    let format = if le(head, at + 24, 2) == 0x20b { "PE32+" } else { "PE32" };
    let dll = le(head, at + 22, 2) & 0x2000 != 0;
    let system = match le(head, at + 24 + 68, 2) {
        1 => "native",
        2 => "GUI",
        3 => "console",
        10 => "EFI application",
        _ => "unknown subsystem",
    };
    // Managed code has its own directory, the 15th.
    let directories = at + 24 + if format == "PE32+" { 112 } else { 96 };
    let net = if le(head, directories + 14 * 8, 4) != 0 { " Mono/.Net assembly," } else { "" };
    let sections = le(head, at + 6, 2);
    let kind = if dll { "(DLL) " } else { "" };
    let text = format!("{format} executable {kind}({system}) {machine},{net} for MS Windows, {sections} sections");
    Kind::new(text.replace(",,", ","), mime, if dll { "dll/cpl/ocx" } else { "exe/sys" })
}

fn zip(head: &[u8]) -> Kind {
    let length = le(head, 26, 2) as usize;
    let name = head.get(30..30 + length).unwrap_or(&[]);
    let has = |part: &[u8]| memchr::memmem::find(head, part).is_some();
    let office = "application/vnd.openxmlformats-officedocument";
    if name == b"mimetype" {
        let kind = &head[30 + length..];
        let known: &[(&[u8], &str, &str, &str)] = &[
            (
                b"application/vnd.oasis.opendocument.text",
                "OpenDocument Text",
                "application/vnd.oasis.opendocument.text",
                "odt",
            ),
            (
                b"application/vnd.oasis.opendocument.spreadsheet",
                "OpenDocument Spreadsheet",
                "application/vnd.oasis.opendocument.spreadsheet",
                "ods",
            ),
            (
                b"application/vnd.oasis.opendocument.presentation",
                "OpenDocument Presentation",
                "application/vnd.oasis.opendocument.presentation",
                "odp",
            ),
            (b"application/epub+zip", "EPUB document", "application/epub+zip", "epub"),
        ];
        if let Some((_, text, mime, ending)) = known.iter().find(|(begin, ..)| kind.starts_with(begin)) {
            return Kind::new(*text, mime, ending);
        }
    }
    if name.starts_with(b"[Content_Types].xml") || name.starts_with(b"_rels/") || name.starts_with(b"docProps/") {
        if has(b"word/") {
            return Kind::new("Microsoft Word 2007+", &format!("{office}.wordprocessingml.document"), "docx");
        }
        if has(b"xl/") {
            return Kind::new("Microsoft Excel 2007+", &format!("{office}.spreadsheetml.sheet"), "xlsx");
        }
        if has(b"ppt/") {
            return Kind::new("Microsoft PowerPoint 2007+", &format!("{office}.presentationml.presentation"), "pptx");
        }
        return Kind::new("Microsoft OOXML", "application/octet-stream", "");
    }
    if name.starts_with(b"META-INF/") {
        return Kind::new("Java archive data (JAR)", "application/java-archive", "jar");
    }
    if name == b"AndroidManifest.xml" {
        return Kind::new("Android package (APK)", "application/vnd.android.package-archive", "apk");
    }
    let version = head.get(4).copied().unwrap_or(20);
    let method = match le(head, 8, 2) {
        0 => "store",
        8 => "deflate",
        _ => "other",
    };
    let text = format!(
        "Zip archive data, at least v{}.{} to extract, compression method={method}",
        version / 10,
        version % 10
    );
    Kind::new(text, "application/zip", "zip")
}

/// Kinds of text, None when it is none.
fn text(head: &[u8]) -> Option<Kind> {
    let (body, encoding) = match head {
        [0xef, 0xbb, 0xbf, rest @ ..] => (rest, "Unicode text, UTF-8 (with BOM)"),
        [0xff, 0xfe, ..] if head.len().is_multiple_of(2) => {
            return Some(Kind::new("Unicode text, UTF-16, little-endian", "text/plain", "txt"));
        }
        [0xfe, 0xff, ..] if head.len().is_multiple_of(2) => {
            return Some(Kind::new("Unicode text, UTF-16, big-endian", "text/plain", "txt"));
        }
        _ => {
            let valid = match std::str::from_utf8(head) {
                Ok(_) => true,
                // The piece that was read may end within a character.
                Err(error) => error.error_len().is_none() && error.valid_up_to() + 4 > head.len(),
            };
            let encoding = match (head.is_ascii(), valid) {
                (true, _) => "ASCII text",
                (false, true) => "Unicode text, UTF-8 text",
                (false, false) => "ISO-8859 text",
            };
            (head, encoding)
        }
    };
    let control = |b: &u8| *b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t' | 0x0c | 0x1b | 0x08) || *b == 0x7f;
    let high = |b: &u8| (0x80..0xa0).contains(b);
    if body.iter().any(control) || encoding == "ISO-8859 text" && body.iter().any(high) {
        return None;
    }
    let start = body.trim_ascii_start();
    let lower = start[..start.len().min(1024)].to_ascii_lowercase();
    if let Some(rest) = body.strip_prefix(b"#!") {
        let line = rest.split(|b| *b == b'\n').next().unwrap_or(&[]);
        return Some(script(&String::from_utf8_lossy(line), encoding));
    }
    let (what, mime, endings) = if lower.starts_with(b"<?xml") && memchr::memmem::find(&lower, b"<svg").is_some() {
        ("SVG Scalable Vector Graphics image", "image/svg+xml", "svg")
    } else if lower.starts_with(b"<?xml") {
        ("XML 1.0 document", "text/xml", "xml")
    } else if [&b"<!doctype html"[..], b"<html", b"<head", b"<body"].iter().any(|tag| lower.starts_with(tag)) {
        ("HTML document", "text/html", "html/htm")
    } else if lower.starts_with(b"<?php") {
        ("PHP script", "text/x-php", "php")
    } else if lower.starts_with(b"@echo off") {
        ("DOS batch file", "text/x-msdos-batch", "bat/cmd")
    } else if is_json(start) {
        return Some(Kind::new("JSON text data", "application/json", "json"));
    } else {
        ("", "text/plain", "txt")
    };
    let mut description = if what.is_empty() { encoding.to_owned() } else { format!("{what}, {encoding}") };
    let lines = |end: &[u8]| memchr::memmem::find(body, end).is_some();
    if lines(b"\r\n") {
        description.push_str(", with CRLF line terminators");
    } else if !lines(b"\n") && lines(b"\r") {
        description.push_str(", with CR line terminators");
    } else if !lines(b"\n") {
        description.push_str(", with no line terminators");
    }
    Some(Kind::new(description, mime, endings))
}

fn is_json(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'{' | b'['))
        && text.len() < super::HEAD
        && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

fn script(line: &str, encoding: &str) -> Kind {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or("");
    let mut name = program.rsplit('/').next().unwrap_or("");
    if name == "env" {
        name = words.find(|word| !word.starts_with('-')).unwrap_or(name);
    }
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let (text, mime, endings) = match base {
        "sh" | "dash" => ("POSIX shell script".to_owned(), "text/x-shellscript", "sh"),
        "bash" => ("Bourne-Again shell script".to_owned(), "text/x-shellscript", "sh/bash"),
        "zsh" => ("Paul Falstad's zsh script".to_owned(), "text/x-shellscript", "zsh"),
        "ksh" => ("Korn shell script".to_owned(), "text/x-shellscript", "ksh"),
        "python" => ("Python script".to_owned(), "text/x-script.python", "py"),
        "perl" => ("Perl script".to_owned(), "text/x-perl", "pl"),
        "ruby" => ("Ruby script".to_owned(), "text/x-ruby", "rb"),
        "node" => ("Node.js script".to_owned(), "application/javascript", "js"),
        "php" => ("PHP script".to_owned(), "text/x-php", "php"),
        "awk" | "gawk" => ("awk script".to_owned(), "text/x-awk", "awk"),
        _ => (format!("a {} script", line.trim()), "text/plain", ""),
    };
    Kind::new(format!("{text}, {encoding} executable"), mime, endings)
}
