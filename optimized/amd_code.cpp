#include "optimized/amd_code.h"

#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "optimized/elf.h"

namespace twincheck::amd {
namespace {

std::vector<std::string> lines_of(const std::string& tool, const char* options, const std::string& path) {
  const std::string command = "'" + tool + "' " + options + " '" + path + "' 2>&1";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), [](FILE*) { return 0; });
  if (pipe == nullptr) throw std::runtime_error(command + ": no process can be started");
  std::vector<std::string> lines;
  std::array<char, 4096> piece;
  std::string line;
  while (std::fgets(piece.data(), static_cast<int>(piece.size()), pipe.get()) != nullptr) {
    line += piece.data();
    if (line.back() != '\n') continue;
    line.pop_back();
    lines.push_back(std::move(line));
    line.clear();
  }
  if (pclose(pipe.get()) != 0) throw std::runtime_error(command + ": " + (lines.empty() ? "failed" : lines.back()));
  return lines;
}

bool starts_with(const std::string& text, const std::string& prefix) { return text.compare(0, prefix.size(), prefix) == 0; }

// "_ZN...append_kernelIiNS0_3F32ENS0_4Bf16ELNS_6SourceE2EEE..." as "i32 f32 bf16 logits".
std::string words_of(const std::string& symbol) {
  int status = 0;
  char* const demangled = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status);
  const std::string text = status == 0 ? demangled : symbol;
  std::free(demangled);
  const std::size_t open = text.find("append_kernel<"), close = text.find(">(", open);
  if (open == std::string::npos || close == std::string::npos) return symbol;
  static const std::map<std::string, std::string> kWords{{"int", "i32"},   {"long", "i64"}, {"F32", "f32"},
                                                         {"Bf16", "bf16"}, {"F16", "f16"},  {"0", "constant"},
                                                         {"1", "weights"}, {"2", "logits"}, {"3", "gate"}};
  std::istringstream arguments(text.substr(open + 14, close - open - 14));
  std::string words;
  for (std::string argument; std::getline(arguments, argument, ',');) {
    const std::size_t begin = argument.find_last_of(" :)");
    const auto word = kWords.find(argument.substr(begin == std::string::npos ? 0 : begin + 1));
    if (word == kWords.end()) return symbol;
    words += (words.empty() ? "" : " ") + word->second;
  }
  return words;
}

// The list `amdhsa.kernels` of the metadata: kernels at an indentation of 2, their keys at 4, their arguments' at 8.
std::vector<KernelCode> kernels_of(const std::vector<std::string>& notes) {
  std::vector<KernelCode> kernels;
  bool inside = false;
  for (std::string line : notes) {
    if (starts_with(line, "amdhsa.")) inside = starts_with(line, "amdhsa.kernels");
    if (!inside) continue;
    if (starts_with(line, "  - .")) {
      kernels.emplace_back();
      line[2] = ' ';
    }
    const std::size_t dot = line.find_first_not_of(" -"), colon = line.find(':');
    if (kernels.empty() || dot == std::string::npos || line[dot] != '.' || colon == std::string::npos) continue;
    KernelCode& k = kernels.back();
    const std::string key = line.substr(dot + 1, colon - dot - 1);
    const std::size_t from = line.find_first_not_of(' ', colon + 1);
    const std::string value = from == std::string::npos ? "" : line.substr(from);
    if (dot == 8) {
      if (key == "size") k.arguments.push_back(std::stoi(value));
      if (key == "value_kind" && starts_with(value, "hidden_")) k.arguments.pop_back();
      continue;
    }
    if (dot != 4) continue;
    const std::map<std::string, int*> numbers{{"vgpr_count", &k.vgprs},
                                              {"agpr_count", &k.agprs},
                                              {"sgpr_count", &k.sgprs},
                                              {"vgpr_spill_count", &k.vgpr_spills},
                                              {"sgpr_spill_count", &k.sgpr_spills},
                                              {"private_segment_fixed_size", &k.scratch},
                                              {"group_segment_fixed_size", &k.shared},
                                              {"wavefront_size", &k.wave},
                                              {"max_flat_workgroup_size", &k.block}};
    if (const auto number = numbers.find(key); number != numbers.end()) *number->second = std::stoi(value);
    if (key == "uses_dynamic_stack") k.dynamic_stack = value != "false";
    if (key == "name") k.symbol = value;
  }
  return kernels;
}

struct Instruction {
  uint64_t address = 0;
  std::string mnemonic;
  uint64_t target = 0;  // of a branch
};

// "v_mul_f32_e32" is v_mul_f32 in one of several encodings.
std::string without_encoding(std::string mnemonic) {
  for (const char* suffix : {"_e32", "_e64", "_sdwa", "_dpp", "_e64_dpp", "_dpp8"}) {
    const std::string s = suffix;
    if (mnemonic.size() > s.size() && mnemonic.compare(mnemonic.size() - s.size(), s.size(), s) == 0)
      return mnemonic.substr(0, mnemonic.size() - s.size());
  }
  return mnemonic;
}

// A line of llvm-objdump -d: "\tMNEMONIC OPERANDS    // 00000000E134: ENCODING <SYMBOL+0xTARGET>".
bool parse(const std::string& line, uint64_t function, Instruction& out) {
  const std::size_t comment = line.find("// ");
  if (line.empty() || line[0] != '\t' || comment == std::string::npos) return false;
  out.address = std::stoull(line.substr(comment + 3), nullptr, 16);
  out.mnemonic = line.substr(1, line.find_first_of(" \t", 1) - 1);
  out.target = 0;
  if (starts_with(out.mnemonic, "s_branch") || starts_with(out.mnemonic, "s_cbranch")) {
    const std::size_t plus = line.rfind("+0x"), close = line.rfind('>');
    out.target =
        function + (plus == std::string::npos || plus > close ? 0 : std::stoull(line.substr(plus + 3), nullptr, 16));
  }
  return true;
}

bool is_narrow(const Instruction& i, const char* access) {
  return starts_with(i.mnemonic, std::string("global_") + access) && i.mnemonic.find("x4") == std::string::npos &&
         i.mnemonic.find("b128") == std::string::npos;
}

// Breadth first over (instruction, loaded, stored). 0 where no way loads and stores.
int shortest_way(const std::vector<Instruction>& code) {
  std::map<uint64_t, std::size_t> at;
  for (std::size_t i = 0; i < code.size(); ++i) at[code[i].address] = i;
  std::vector<int> steps(code.size() * 4, 0);
  std::deque<std::size_t> open;
  const auto reach = [&](std::size_t i, std::size_t state, int length) {
    if (i >= code.size()) return;
    if (is_narrow(code[i], "load")) state |= 1;
    if (is_narrow(code[i], "store") && (state & 1) != 0) state |= 2;
    if (steps[i * 4 + state] != 0) return;
    steps[i * 4 + state] = length;
    open.push_back(i * 4 + state);
  };
  reach(0, 0, 1);
  while (!open.empty()) {
    const std::size_t place = open.front(), i = place / 4, state = place % 4;
    open.pop_front();
    const std::string& mnemonic = code[i].mnemonic;
    if (mnemonic == "s_endpgm") {
      if (state == 3) return steps[place];
      continue;
    }
    if (code[i].target != 0) reach(at.at(code[i].target), state, steps[place] + 1);
    if (mnemonic != "s_branch") reach(i + 1, state, steps[place] + 1);
  }
  return 0;
}

void disassemble(const std::vector<std::string>& lines, std::vector<KernelCode>& kernels) {
  std::map<std::string, KernelCode*> by_symbol;
  for (KernelCode& k : kernels) by_symbol[k.symbol] = &k;
  KernelCode* kernel = nullptr;
  uint64_t function = 0;
  std::map<KernelCode*, std::vector<Instruction>> code;
  for (const std::string& line : lines) {
    if (!line.empty() && line[0] != '\t' && line.back() == ':' && line.find(" <") != std::string::npos) {
      const std::size_t open = line.find('<');
      function = std::stoull(line, nullptr, 16);
      const auto found = by_symbol.find(line.substr(open + 1, line.rfind('>') - open - 1));
      kernel = found == by_symbol.end() ? nullptr : found->second;
      continue;
    }
    Instruction instruction;
    if (kernel == nullptr || !parse(line, function, instruction)) continue;
    code[kernel].push_back(instruction);
    ++kernel->count[without_encoding(instruction.mnemonic)];
    if (const std::size_t second = line.find(":: "); second != std::string::npos && second < line.find("// "))
      ++kernel->count[without_encoding(line.substr(second + 3, line.find_first_of(" \t", second + 3) - second - 3))];
  }
  for (auto& [k, instructions] : code) {
    // Behind the last instruction that goes nowhere further lies padding.
    while (!instructions.empty() && instructions.back().mnemonic != "s_endpgm" &&
           instructions.back().mnemonic != "s_branch") {
      --k->count[without_encoding(instructions.back().mnemonic)];
      instructions.pop_back();
    }
    k->instructions = static_cast<int>(instructions.size());
    k->decode = shortest_way(instructions);
  }
  for (const KernelCode& k : kernels)
    if (k.instructions == 0) throw std::runtime_error(k.symbol + ": no instructions were found");
}

}  // namespace

int KernelCode::starting(std::initializer_list<const char*> prefixes) const {
  int n = 0;
  for (const auto& [mnemonic, times] : count) {
    const std::string& m = mnemonic;
    if (std::any_of(prefixes.begin(), prefixes.end(), [&](const char* p) { return starts_with(m, p); })) n += times;
  }
  return n;
}

std::vector<KernelCode> read_code_object(const std::string& path, const Tools& tools) {
  std::vector<KernelCode> kernels = kernels_of(lines_of(tools.readobj, "--notes", path));
  if (kernels.empty()) throw std::runtime_error(path + " holds no kernels");
  disassemble(lines_of(tools.objdump, "-d", path), kernels);

  const std::vector<char> file = elf::read(path);
  const std::string_view bytes(file.data(), file.size());
  std::map<std::string, uint64_t> descriptors;
  for (const elf::Symbol& s : elf::symbols_of(bytes, SHT_SYMTAB)) descriptors[s.name] = s.address;
  constexpr uint64_t kRsrc1 = 48;  // of a kernel descriptor; MODE's bits begin at bit 12
  for (KernelCode& k : kernels) {
    k.name = words_of(k.symbol);
    k.float_mode = elf::at<uint32_t>(elf::bytes_at(bytes, descriptors.at(k.symbol + ".kd")), kRsrc1) >> 12 & 0xff;
  }
  std::sort(kernels.begin(), kernels.end(), [](const KernelCode& a, const KernelCode& b) { return a.name < b.name; });
  return kernels;
}

std::vector<std::string> faults_of(const KernelCode& k) {
  std::vector<std::string> faults;
  const auto unless = [&](bool right, const std::string& words) {
    if (!right) faults.push_back(words);
  };
  const auto number = [](int n) { return std::to_string(n); };
  unless(k.scratch == 0 && k.starting({"scratch_", "buffer_load", "buffer_store"}) == 0,
         "scratch memory: " + number(k.scratch) + " bytes a lane");
  unless(!k.dynamic_stack, "a dynamic stack");
  unless(k.vgpr_spills == 0, number(k.vgpr_spills) + " spilled vector registers");
  unless(k.vgprs < 64, number(k.vgprs) + " vector registers, expected fewer than 64");
  unless(k.agprs == 0, number(k.agprs) + " accumulation registers");
  unless(k.starting({"s_swappc", "s_setpc", "s_call"}) == 0, "a call of a function");

  // A correctly rounded f32 division is two scales, a reciprocal, five fused steps, div_fmas and div_fixup. An integer
  // division would show as a reciprocal more (v_rcp_iflag_f32 for 32 bits, v_rcp_f32 for 64).
  const int divisions = k.starting({"v_div_fixup_f32"}), reciprocals = k.starting({"v_rcp_", "v_s_rcp_"}),
            fused =
                k.starting({"v_fma", "v_pk_fma", "v_dual_fma", "v_mad_f", "v_mad_legacy", "v_mac_", "v_mad_mix", "s_fma"});
  unless(reciprocals == divisions, number(reciprocals) + " reciprocals for " + number(divisions) +
                                       " f32 divisions: the others are integer divisions, or approximations");
  unless(fused == 5 * divisions, number(fused) + " fused operations, expected " + number(5 * divisions) + " for " +
                                     number(divisions) + " f32 divisions");
  const int approximated = k.starting(
      {"v_exp_", "v_log_", "v_rsq_", "v_sqrt_", "v_sin_", "v_cos_", "v_s_exp", "v_s_log", "v_s_rsq", "v_s_sqrt", "v_tanh"});
  unless(approximated == 0, number(approximated) + " approximated functions");
  const int narrow = k.starting({"v_cvt_f16_f32", "v_cvt_f32_f16", "v_cvt_pkrtz", "v_cvt_pk_f", "v_cvt_pk_bf16", "v_cvt_sr",
                                 "v_cvt_bf16", "v_mul_f16", "v_add_f16"});
  unless(narrow == 0, number(narrow) + " 16-bit floating-point instructions of the hardware's own");
  // Double and half precision keep their subnormals too: 0xf0; rounding to nearest even is 0 for both.
  unless(k.float_mode == 0xf0,
         "MODE starts as " + number(static_cast<int>(k.float_mode)) + ", expected 240: to nearest even, with subnormals");
  unless(k.starting({"s_setreg", "s_denorm_mode", "s_round_mode"}) == 0, "MODE is changed on the way");

  unless(k.starting({"global_load_dwordx4", "global_load_b128"}) > 0, "no 16-byte load");
  unless(k.starting({"global_store_dwordx4", "global_store_b128"}) > 0, "no 16-byte store");
  unless(k.decode > 0, "no way through it that loads and stores a single element");
  unless(k.starting({"flat_"}) == 0, "flat accesses, which also wait for shared memory");
  return faults;
}

}  // namespace twincheck::amd
