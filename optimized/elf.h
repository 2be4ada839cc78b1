// Reading ELF files as bytes, for the tests that look at what compilers made: 64-bit, little-endian. Throws
// std::runtime_error where a file is none, or ends too early.
#pragma once

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace twincheck::elf {

inline std::vector<char> read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + " cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

template <class T>
T at(std::string_view bytes, uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) throw std::runtime_error("the file ends too early");
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

inline Elf64_Ehdr header_of(std::string_view file) {
  const auto header = at<Elf64_Ehdr>(file, 0);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) throw std::runtime_error("no ELF file");
  return header;
}

inline std::vector<Elf64_Shdr> sections_of(std::string_view file) {
  const Elf64_Ehdr header = header_of(file);
  std::vector<Elf64_Shdr> sections;
  for (uint16_t i = 0; i < header.e_shnum; ++i)
    sections.push_back(at<Elf64_Shdr>(file, header.e_shoff + uint64_t{i} * header.e_shentsize));
  return sections;
}

struct Symbol {
  std::string name;
  bool defined, global, visible;
  uint64_t address;
};

// The symbols of a section type: SHT_DYNSYM for what a library exports, SHT_SYMTAB for all.
inline std::vector<Symbol> symbols_of(std::string_view file, uint32_t type) {
  const std::vector<Elf64_Shdr> sections = sections_of(file);
  std::vector<Symbol> symbols;
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type != type) continue;
    const Elf64_Shdr& strings = sections.at(section.sh_link);
    for (uint64_t offset = 0; offset + sizeof(Elf64_Sym) <= section.sh_size; offset += sizeof(Elf64_Sym)) {
      const auto symbol = at<Elf64_Sym>(file, section.sh_offset + offset);
      at<char>(file, strings.sh_offset + symbol.st_name);
      symbols.push_back({file.data() + strings.sh_offset + symbol.st_name, symbol.st_shndx != SHN_UNDEF,
                         ELF64_ST_BIND(symbol.st_info) != STB_LOCAL, ELF64_ST_VISIBILITY(symbol.st_other) == STV_DEFAULT,
                         symbol.st_value});
    }
  }
  return symbols;
}

// What lies in the file for an address of the loaded program.
inline std::string_view bytes_at(std::string_view file, uint64_t address) {
  for (const Elf64_Shdr& s : sections_of(file)) {
    if (s.sh_type == SHT_NOBITS || s.sh_addr == 0 || address < s.sh_addr || address - s.sh_addr >= s.sh_size) continue;
    return file.substr(s.sh_offset + (address - s.sh_addr), s.sh_size - (address - s.sh_addr));
  }
  throw std::runtime_error("the file holds nothing at that address");
}

}  // namespace twincheck::elf
