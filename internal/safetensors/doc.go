// Package safetensors reads and writes safetensors files: named tensors behind a JSON header.
//
//	8 bytes   length N of the header, little endian
//	N bytes   JSON: {"__metadata__": {string: string}, NAME: {"dtype": …, "shape": […], "data_offsets": [begin, end]}, …},
//	          padded with spaces
//	the rest  the tensors' data, back to back, little endian
//
// Write adds checksums that every safetensors reader ignores and File verifies: the metadata key "crc32c" holds a
// JSON object with the CRC-32C of each tensor's data as 8 hex digits, and "crc32c.header" the CRC-32C of the first 8+N
// bytes with its own digits read as "00000000". A file has both or neither; one with neither (PyTorch's) is read
// without verification.
//
// Open validates everything before it allocates anything that the file asks for: the header is at most 100 MB and not
// longer than the file, tensors have known types, sizes that fit their shapes, and fill the data without holes or
// overlaps. Data is read when asked for, so listing a large file is cheap.
//
// Caveats: a File reads from its file until Close, and a file that others change while it is open is noticed
// only where checksums say so. 4-bit and 6-bit element types are refused.
package safetensors
