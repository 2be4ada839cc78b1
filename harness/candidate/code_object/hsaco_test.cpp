// AMD code objects as bytes: what is read from them, and the JSON beside them held against it.
#include "harness/candidate/code_object/hsaco.h"

#include <elf.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "harness/cli/cli_test_support.h"

namespace twincheck::test {
namespace {

using code_object::DescriptionError;
using Json = nlohmann::json;

template <class T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// An ELF file of one section: a note of another owner, then the metadata.
std::string code_object_with(const Json& metadata, uint16_t machine = 224) {
  const std::vector<uint8_t> packed = Json::to_msgpack(metadata);
  const auto note = [](std::string owner, uint32_t type, std::string words) {
    const Elf64_Nhdr header{static_cast<uint32_t>(owner.size()), static_cast<uint32_t>(words.size()), type};
    owner.resize((owner.size() + 3) / 4 * 4);
    words.resize((words.size() + 3) / 4 * 4);
    return bytes_of(header) + owner + words;
  };
  const std::string notes =
      note("other", 32, "words") + note(std::string("AMDGPU\0", 7), 32, std::string(packed.begin(), packed.end()));
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_machine = machine;
  header.e_shoff = sizeof header;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 1;
  Elf64_Shdr section{};
  section.sh_type = SHT_NOTE;
  section.sh_offset = sizeof header + sizeof section;
  section.sh_size = notes.size();
  return bytes_of(header) + bytes_of(section) + notes;
}

Json metadata_of_append() {
  const auto argument = [](int bytes, const char* kind) { return Json{{".size", bytes}, {".value_kind", kind}}; };
  return {{"amdhsa.kernels",
           {{{".name", "append"},
             {".max_flat_workgroup_size", 256},
             {".args", {argument(8, "global_buffer"), argument(4, "by_value"), argument(8, "hidden_global_offset_x")}}},
            {{".name", "other"}}}}};
}

std::string complaint(const std::string& json, const std::string& hsaco) {
  try {
    code_object::hold_against(code_object::parse(json), code_object::kernels_in(hsaco));
  } catch (const DescriptionError& e) {
    return e.what();
  }
  return "accepted";
}

std::string description(const std::string& symbol, const std::string& arguments, int block) {
  return R"({"symbol": ")" + symbol + R"(", "arguments": [)" + arguments +
         R"(], "grid": {"per": "row", "each": 1}, "block": )" + std::to_string(block) + "}";
}

const std::string kRight = R"("topk_ids.data", "num_shared:i32")";

TEST(Hsaco, IsHeldAgainstItsDescription) {
  const std::string hsaco = code_object_with(metadata_of_append());
  EXPECT_EQ(complaint(description("append", kRight, 256), hsaco), "accepted");
  EXPECT_EQ(complaint(description("other", "", 1024), hsaco), "accepted");
  EXPECT_EQ(complaint(description("apend", kRight, 256), hsaco),
            "symbol: found apend, expected a kernel of the code object: append, other");
  EXPECT_EQ(complaint(description("append", kRight + ", \"scale\"", 256), hsaco),
            "arguments: found 3, expected the 2 parameters that append takes");
  EXPECT_EQ(complaint(description("append", R"("topk_ids.data", "num_shared")", 256), hsaco),
            "arguments[1]: found 8 bytes, expected the 4 that append takes there");
  EXPECT_EQ(complaint(description("append", R"("args", "scale")", 256), hsaco),
            "arguments[0]: found " + std::to_string(sizeof(AppendArgs)) + " bytes, expected the 8 that append takes there");
  EXPECT_EQ(complaint(description("append", kRight, 257), hsaco),
            "block: found 257 threads, expected at most 256, for which it was compiled");
}

TEST(Hsaco, MayBeABundle) {
  const std::string inside = code_object_with(metadata_of_append());
  const std::string host = "host-x86_64-unknown-linux", device = "hipv4-amdgcn-amd-amdhsa--gfx90a";
  const uint64_t entries = 2, first = 24 + 8 + 2 * 24 + host.size() + device.size();
  const std::string bundle = "__CLANG_OFFLOAD_BUNDLE__" + bytes_of(entries) + bytes_of(first) + bytes_of(uint64_t{0}) +
                             bytes_of(uint64_t{host.size()}) + host + bytes_of(first) + bytes_of(uint64_t{inside.size()}) +
                             bytes_of(uint64_t{device.size()}) + device;
  EXPECT_EQ(complaint(description("append", kRight, 256), bundle + inside), "accepted");
  EXPECT_EQ(complaint(description("append", kRight, 256), bundle + inside.substr(0, 100)),
            "the file: found one that ends too early, expected an AMD code object with its metadata");
}

TEST(Hsaco, ThatIsNoneIsSaidToBeNone) {
  const auto what = [](const std::string& bytes) { return complaint(description("append", kRight, 256), bytes); };
  EXPECT_TRUE(has(what("no code"), "the file: found no ELF file, expected an AMD code object")) << what("no code");
  EXPECT_TRUE(has(what(code_object_with(metadata_of_append(), EM_X86_64)), "found an ELF file for machine 62"));
  EXPECT_TRUE(has(what(code_object_with({{"amdhsa.version", 1}})), "found metadata that cannot be read"));
  const std::string whole = code_object_with(metadata_of_append());
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
    EXPECT_TRUE(has(what(whole.substr(0, bytes)), "the file: found ")) << bytes << what(whole.substr(0, bytes));
}

#ifdef TWINCHECK_EXAMPLE_HSACO
class CompiledHsaco : public Cli {
 protected:
  // The example's code object beside its JSON, with a part of that replaced.
  void put(const std::string& kernel, const std::string& part = "", const std::string& by = "") {
    const std::string stem = std::string(TWINCHECK_EXAMPLE_HSACO "/") + kernel;
    fs::copy_file(stem + ".hsaco", folder_ / (kernel + ".hsaco"), fs::copy_options::overwrite_existing);
    std::string json = contents(stem + ".json");
    if (!part.empty()) json.replace(json.find(part), part.size(), by);
    write(kernel + ".json", json);
  }
};

TEST_F(CompiledHsaco, IsTheKernelOfItsDescription) {
  for (const std::string kernel : {"append", "production"}) {
    put(kernel);
    const Ran r = run("list --candidate " + kernel + ".hsaco");
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_TRUE(has(r.out, "hip." + kernel)) << r.out << r.err;
  }
}

TEST_F(CompiledHsaco, IsNoCandidateWithAnothersDescription) {
  put("append", "\"symbol\": \"append\"", "\"symbol\": \"apend\"");
  expect_unusable("list --candidate append.hsaco",
                  "append.json: symbol: found apend, expected a kernel of the code object: append");
  put("append", "\"scale\", ", "");
  expect_unusable("verify --candidate append.hsaco",
                  "append.json: arguments: found 15, expected the 16 parameters that append takes");
  put("append", "\"num_shared:i32\"", "\"num_shared\"");
  expect_unusable("list --candidate append.hsaco", "append.json: arguments[9]: found 8 bytes, expected the 4");
  put("production", "[\"args\"]", "[\"args\", \"scale\"]");
  expect_unusable("list --candidate production.hsaco",
                  "production.json: arguments: found 2, expected the 1 parameters that append takes");
}
#endif

}  // namespace
}  // namespace twincheck::test
