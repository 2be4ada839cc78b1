// Readers of the report formats, for tests: a JSON Schema of the words that docs/results.schema.json uses, and XML.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace twincheck::test {

using Json = nlohmann::json;

// A results.json without what differs between one process and the merged shards of the same work.
inline Json without_times(const Json& value) {
  if (value.is_object()) {
    Json kept = Json::object();
    for (const auto& [key, member] : value.items())
      if (key != "seconds" && key != "arguments" && key != "started" && key != "parts" && key != "isolation_seconds")
        kept[key] = without_times(member);
    return kept;
  }
  if (!value.is_array()) return value;
  Json kept = Json::array();
  for (const Json& element : value) kept.push_back(without_times(element));
  return kept;
}

// Where `value` is not what the schema says, "/failures/0/count: found 0, expected at least 1". Stricter than the standard:
// an object has no members but those of its properties, and a keyword that is not known here is a violation.
class Schema {
 public:
  explicit Schema(Json root) : root_(std::move(root)) {}

  std::vector<std::string> violations(const Json& value) const {
    std::vector<std::string> found;
    check(root_, value, "", found);
    return found;
  }

 private:
  static bool has_type(const Json& value, const std::string& type) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    if (type == "boolean") return value.is_boolean();
    return type == "null" && value.is_null();
  }

  void check(const Json& schema, const Json& value, const std::string& at, std::vector<std::string>& found) const {
    const auto wrong = [&](const std::string& expected) {
      found.push_back(at + ": found " + value.dump().substr(0, 200) + ", expected " + expected);
    };
    for (const auto& [key, rule] : schema.items()) {
      if (key == "$schema" || key == "title" || key == "description" || key == "definitions") continue;
      if (key == "$ref") {
        const std::string name = rule.get<std::string>().substr(std::string("#/definitions/").size());
        check(root_.at("definitions").at(name), value, at, found);
      } else if (key == "type") {
        if (!has_type(value, rule)) wrong("a value of type " + rule.dump());
      } else if (key == "enum") {
        if (std::find(rule.begin(), rule.end(), value) == rule.end()) wrong("one of " + rule.dump());
      } else if (key == "const") {
        if (value != rule) wrong(rule.dump());
      } else if (key == "minimum") {
        if (value.is_number() && value.get<double>() < rule.get<double>()) wrong("at least " + rule.dump());
      } else if (key == "pattern") {
        if (value.is_string() && !std::regex_search(value.get<std::string>(), std::regex(rule.get<std::string>())))
          wrong("a match of " + rule.dump());
      } else if (key == "required") {
        for (const auto& name : rule)
          if (value.is_object() && !value.contains(name.get<std::string>())) wrong("a member " + name.dump());
      } else if (key == "properties") {
        if (!value.is_object()) continue;
        for (const auto& [name, member] : value.items()) {
          if (rule.contains(name)) {
            check(rule.at(name), member, at + "/" + name, found);
          } else {
            wrong("no member " + name);
          }
        }
      } else if (key == "items") {
        for (std::size_t i = 0; value.is_array() && i < value.size(); ++i)
          check(rule, value[i], at + "/" + std::to_string(i), found);
      } else if (key == "oneOf") {
        std::size_t fits = 0;
        std::vector<std::string> last;
        for (const auto& one : rule) {
          std::vector<std::string> these;
          check(one, value, at, these);
          fits += these.empty();
          if (!these.empty()) last = these;
        }
        if (fits != 1) {
          wrong("exactly one of several");
          found.insert(found.end(), last.begin(), last.end());
        }
      } else {
        found.push_back("the schema's keyword " + key + " is not known here");
      }
    }
  }

  Json root_;
};

struct Element {
  std::string name, text;  // text: of this element alone
  std::map<std::string, std::string> attributes;
  std::vector<Element> children;

  std::vector<const Element*> all(std::string_view wanted) const {
    std::vector<const Element*> found;
    for (const Element& child : children) {
      if (child.name == wanted) found.push_back(&child);
      for (const Element* deeper : child.all(wanted)) found.push_back(deeper);
    }
    return found;
  }
  const std::string& attribute(const std::string& key) const { return attributes.at(key); }
};

// Reads a well-formed XML document of elements, attributes and text, in UTF-8. Throws std::runtime_error.
class Xml {
 public:
  static Element parse(std::string_view text) {
    Xml xml{text};
    xml.expect("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    xml.space();
    Element root = xml.element();
    xml.space();
    if (!xml.rest_.empty()) xml.fail("nothing more");
    return root;
  }

 private:
  explicit Xml(std::string_view text) : rest_(text) {}

  [[noreturn]] void fail(const std::string& expected) const {
    throw std::runtime_error("XML: expected " + expected + " at: " + std::string(rest_.substr(0, 60)));
  }
  void expect(std::string_view words) {
    if (rest_.substr(0, words.size()) != words) fail(std::string(words));
    rest_.remove_prefix(words.size());
  }
  bool space() {
    const std::size_t before = rest_.size();
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\n"), rest_.size()));
    return rest_.size() != before;
  }
  std::string name() {
    std::size_t n = 0;
    while (n < rest_.size() && (std::isalnum(static_cast<unsigned char>(rest_[n])) != 0 || rest_[n] == '-')) ++n;
    if (n == 0) fail("a name");
    const std::string word(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return word;
  }
  // One character, which must be allowed in XML and well-formed UTF-8, or a reference.
  std::string character() {
    if (rest_.empty()) fail("a character");
    if (rest_[0] == '&') {
      const std::size_t end = rest_.find(';');
      if (end == std::string_view::npos) fail("a reference's end");
      const std::string reference(rest_.substr(1, end - 1));
      rest_.remove_prefix(end + 1);
      const std::map<std::string, std::string> known{{"amp", "&"},   {"lt", "<"},   {"gt", ">"},
                                                     {"quot", "\""}, {"#10", "\n"}, {"#9", "\t"}};
      if (!known.contains(reference)) fail("a known reference, not " + reference);
      return known.at(reference);
    }
    const auto first = static_cast<unsigned char>(rest_[0]);
    std::size_t length = 1;
    if (first >= 0x80) {
      // nlohmann's writer refuses what is not UTF-8.
      length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
      try {
        (void)Json(std::string(rest_.substr(0, length))).dump();
      } catch (const Json::exception&) {
        fail("UTF-8");
      }
    } else if (first < 0x20 && first != '\n' && first != '\t') {
      fail("no control character");
    }
    const std::string c(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return c;
  }

  Element element() {
    Element e;
    expect("<");
    e.name = name();
    while (space() && rest_[0] != '/' && rest_[0] != '>') {
      const std::string key = name();
      expect("=\"");
      std::string value;
      while (!rest_.empty() && rest_[0] != '"') {
        if (rest_[0] == '<') fail("no < in an attribute");
        value += character();
      }
      expect("\"");
      if (!e.attributes.emplace(key, value).second) fail("each attribute once");
    }
    if (rest_.substr(0, 2) == "/>") {
      rest_.remove_prefix(2);
      return e;
    }
    expect(">");
    while (rest_.substr(0, 2) != "</") {
      if (rest_.empty()) fail("the end of " + e.name);
      if (rest_[0] == '<') {
        e.children.push_back(element());
      } else {
        e.text += character();
      }
    }
    expect("</" + e.name + ">");
    return e;
  }

  std::string_view rest_;
};

}  // namespace twincheck::test
