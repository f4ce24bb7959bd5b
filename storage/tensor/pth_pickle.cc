// A stack machine for the operations that PyTorch's checkpoints are made of (Python's
// Lib/pickletools.py describes each). Values live in one array and refer to each other by index, so
// that nothing nests, and neither depth nor cycles cost anything.
#include "storage/tensor/pth_pickle.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace distill::storage {
namespace {

using Kind = PickleValue::Kind;

constexpr int kMaxProtocol = 5;
constexpr size_t kMaxRank = 16;
constexpr absl::string_view kOrderedDict = "collections.OrderedDict";
constexpr absl::string_view kRebuildTensor = "torch._utils._rebuild_tensor_v2";
constexpr absl::string_view kRebuildParameter = "torch._utils._rebuild_parameter";

struct StorageClass {
  absl::string_view name;
  DType dtype;
};
constexpr StorageClass kStorageClasses[] = {
    {"torch.DoubleStorage", DType::kF64}, {"torch.FloatStorage", DType::kF32},
    {"torch.HalfStorage", DType::kF16},   {"torch.BFloat16Storage", DType::kBF16},
    {"torch.LongStorage", DType::kI64},   {"torch.IntStorage", DType::kI32},
    {"torch.ShortStorage", DType::kI16},  {"torch.CharStorage", DType::kI8},
    {"torch.ByteStorage", DType::kU8},    {"torch.BoolStorage", DType::kBool},
};

const StorageClass* FindStorageClass(absl::string_view name) {
  for (const StorageClass& known : kStorageClasses) {
    if (known.name == name) return &known;
  }
  return nullptr;
}

absl::Status Refuse(absl::string_view reason) { return absl::InvalidArgumentError(reason); }

absl::Status RefuseGlobal(absl::string_view name) {
  const std::string shown = absl::CHexEscape(name.substr(0, 120));
  if (absl::StartsWith(name, "torch.") && absl::EndsWith(name, "Storage")) {
    return Refuse(absl::StrCat("element type of ", shown, " is not supported"));
  }
  return Refuse(absl::StrCat(
      "pickle names ", shown,
      ", which may run code; only tensors, containers, numbers and texts are read: save the "
      "weights alone, as in torch.save(model.state_dict(), path)"));
}

// Checks that a tensor lies within its storage and that no two elements share a place.
absl::Status CheckTensor(const PickleTensor& tensor) {
  int64_t elements = 1, last = tensor.offset;
  std::vector<std::pair<int64_t, int64_t>> steps;  // (stride, size)
  bool is_empty = false;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    const int64_t size = tensor.shape[i], stride = tensor.strides[i];
    if (size < 0 || stride < 0) return Refuse("a tensor has a negative size or stride");
    is_empty |= size == 0;
    if (size > 1) steps.emplace_back(stride, size);
  }
  if (tensor.offset < 0) return Refuse("a tensor has a negative offset");
  if (is_empty) return absl::OkStatus();
  std::sort(steps.begin(), steps.end());
  int64_t reach = 0;  // From the first element to the last of the dimensions so far.
  for (const auto& [stride, size] : steps) {
    int64_t span = 0;
    if (stride <= reach) return Refuse("elements of a tensor overlap; save tensor.clone()");
    if (__builtin_mul_overflow(stride, size - 1, &span) ||
        __builtin_add_overflow(reach, span, &reach) ||
        __builtin_mul_overflow(elements, size, &elements)) {
      return Refuse("a tensor has an impossible size");
    }
  }
  if (__builtin_add_overflow(last, reach, &last) || last >= tensor.storage_elements) {
    return Refuse(absl::StrCat("a tensor reaches beyond its storage; storage=",
                               absl::CHexEscape(tensor.storage.substr(0, 80)),
                               " elements=", tensor.storage_elements));
  }
  return absl::OkStatus();
}

class Machine {
 public:
  explicit Machine(absl::string_view bytes) : bytes_(bytes) {}

  absl::StatusOr<Pickle> Run() {
    while (!done_) {
      if (at_ >= bytes_.size()) return absl::DataLossError("pickle is truncated");
      const size_t start = at_;
      const absl::Status status = Step(static_cast<unsigned char>(bytes_[at_++]));
      if (!status.ok()) {
        return absl::Status(status.code(), absl::StrCat(status.message(), "; pickle_byte=", start));
      }
    }
    if (stack_.size() != 1 || stack_.front() == kMark) {
      return Refuse("pickle does not end with one value");
    }
    pickle_.root = stack_.front();
    DISTILL_RETURN_IF_ERROR(CheckNoParts());
    return std::move(pickle_);
  }

 private:
  static constexpr uint32_t kMark = std::numeric_limits<uint32_t>::max();

  absl::Status Step(unsigned char operation);
  absl::Status StepValue(unsigned char operation);
  absl::Status StepContainer(unsigned char operation);
  absl::Status StepMemo(unsigned char operation);

  // Takes the next `size` bytes of the pickle.
  absl::StatusOr<absl::string_view> Take(uint64_t size) {
    if (bytes_.size() - at_ < size) return absl::DataLossError("pickle is truncated");
    const absl::string_view taken = bytes_.substr(at_, size);
    at_ += size;
    return taken;
  }
  absl::StatusOr<uint64_t> TakeNumber(size_t size) {
    DISTILL_ASSIGN_OR_RETURN(const absl::string_view taken, Take(size));
    uint64_t value = 0;
    for (size_t i = size; i > 0; --i)
      value = (value << 8) | static_cast<unsigned char>(taken[i - 1]);
    return value;
  }
  absl::StatusOr<absl::string_view> TakeLine() {
    const size_t end = bytes_.find('\n', at_);
    if (end == absl::string_view::npos) return absl::DataLossError("pickle is truncated");
    const absl::string_view line = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return line;
  }

  PickleValue& value(uint32_t index) { return pickle_.values[index]; }
  absl::Status Push(PickleValue value) {
    if (pickle_.values.size() == kMaxPickleValues) return Refuse("pickle has too many values");
    pickle_.values.push_back(std::move(value));
    return PushIndex(static_cast<uint32_t>(pickle_.values.size() - 1));
  }
  absl::Status PushIndex(uint32_t index) {
    if (stack_.size() == kMaxPickleValues) return Refuse("pickle has too many values");
    stack_.push_back(index);
    return absl::OkStatus();
  }
  absl::Status PushInteger(int64_t number) {
    PickleValue result;
    result.kind = Kind::kInteger;
    result.integer = number;
    return Push(std::move(result));
  }
  absl::Status PushText(absl::StatusOr<absl::string_view> text) {
    if (!text.ok()) return text.status();
    PickleValue result;
    result.kind = Kind::kText;
    result.text = *text;
    return Push(std::move(result));
  }
  absl::StatusOr<uint32_t> Pop() {
    if (stack_.empty() || stack_.back() == kMark) return Refuse("pickle takes what is not there");
    const uint32_t top = stack_.back();
    stack_.pop_back();
    return top;
  }
  // Takes everything down to the last mark, and the mark.
  absl::StatusOr<std::vector<uint32_t>> PopToMark() {
    const auto mark = std::find(stack_.rbegin(), stack_.rend(), kMark);
    if (mark == stack_.rend()) return Refuse("pickle takes what is not there");
    std::vector<uint32_t> items(mark.base(), stack_.end());
    stack_.erase(mark.base() - 1, stack_.end());
    return items;
  }
  absl::Status PushTuple(std::vector<uint32_t> items) {
    PickleValue tuple;
    tuple.kind = Kind::kTuple;
    tuple.items = std::move(items);
    return Push(std::move(tuple));
  }
  // A tuple of the last `count` values.
  absl::Status PushTupleOf(size_t count) {
    std::vector<uint32_t> items(count);
    for (size_t i = count; i > 0; --i) {
      DISTILL_ASSIGN_OR_RETURN(items[i - 1], Pop());
    }
    return PushTuple(std::move(items));
  }
  absl::Status PushGlobal(absl::string_view name) {
    if (name != kOrderedDict && name != kRebuildTensor && name != kRebuildParameter &&
        FindStorageClass(name) == nullptr) {
      return RefuseGlobal(name);
    }
    PickleValue global;
    global.kind = Kind::kGlobal;
    for (const absl::string_view known : {kOrderedDict, kRebuildTensor, kRebuildParameter}) {
      if (name == known) global.text = known;
    }
    if (const StorageClass* const known = FindStorageClass(name)) global.text = known->name;
    return Push(std::move(global));
  }
  // Adds items to the container on top of the stack.
  absl::Status Extend(Kind kind, const std::vector<uint32_t>& items) {
    DISTILL_ASSIGN_OR_RETURN(const uint32_t container, Pop());
    if (value(container).kind != kind || (kind == Kind::kDict && items.size() % 2 != 0)) {
      return Refuse("pickle adds items to what is no container of them");
    }
    std::vector<uint32_t>& all = value(container).items;
    all.insert(all.end(), items.begin(), items.end());
    return PushIndex(container);
  }
  absl::StatusOr<std::vector<int64_t>> Integers(uint32_t tuple) {
    if (value(tuple).kind != Kind::kTuple || value(tuple).items.size() > kMaxRank) {
      return Refuse("a tensor's shape is no short tuple");
    }
    std::vector<int64_t> integers;
    for (const uint32_t item : value(tuple).items) {
      if (value(item).kind != Kind::kInteger) return Refuse("a tensor's shape is no integers");
      integers.push_back(value(item).integer);
    }
    return integers;
  }
  absl::Status LoadStorage();
  absl::Status Reduce();
  absl::Status RebuildTensor(const std::vector<uint32_t>& arguments);
  absl::Status Build();
  absl::Status CheckNoParts();

  const absl::string_view bytes_;
  size_t at_ = 0;
  bool done_ = false;
  Pickle pickle_;
  std::vector<uint32_t> stack_;  // Indices of values, and kMark.
  std::unordered_map<uint64_t, uint32_t> memo_;
};

absl::Status Machine::Step(unsigned char operation) {
  switch (operation) {
    case 0x80: {  // PROTO
      DISTILL_ASSIGN_OR_RETURN(const uint64_t protocol, TakeNumber(1));
      if (protocol <= kMaxProtocol) return absl::OkStatus();
      return Refuse(absl::StrCat("unknown pickle protocol ", protocol));
    }
    case 0x95:  // FRAME: how much may be read at once, which does not matter here.
      return TakeNumber(8).status();
    case '.':  // STOP
      done_ = true;
      return absl::OkStatus();
    case 'c': {  // GLOBAL
      DISTILL_ASSIGN_OR_RETURN(const absl::string_view module, TakeLine());
      DISTILL_ASSIGN_OR_RETURN(const absl::string_view name, TakeLine());
      return PushGlobal(absl::StrCat(module.substr(0, 256), ".", name.substr(0, 256)));
    }
    case 0x93: {  // STACK_GLOBAL
      DISTILL_ASSIGN_OR_RETURN(const uint32_t name, Pop());
      DISTILL_ASSIGN_OR_RETURN(const uint32_t module, Pop());
      if (value(name).kind != Kind::kText || value(module).kind != Kind::kText) {
        return Refuse("pickle names a function by what is no text");
      }
      return PushGlobal(
          absl::StrCat(value(module).text.substr(0, 256), ".", value(name).text.substr(0, 256)));
    }
    case 'Q':  // BINPERSID
      return LoadStorage();
    case 'R':  // REDUCE
      return Reduce();
    case 'b':  // BUILD
      return Build();
    case 'q':
    case 'r':
    case 'h':
    case 'j':
    case 0x94:
      return StepMemo(operation);
    case '(':
    case '}':
    case ']':
    case ')':
    case 't':
    case 0x85:
    case 0x86:
    case 0x87:
    case 's':
    case 'u':
    case 'a':
    case 'e':
    case '0':
      return StepContainer(operation);
    default:
      return StepValue(operation);
  }
}

absl::Status Machine::StepValue(unsigned char operation) {
  PickleValue result;
  switch (operation) {
    case 'N':  // NONE
      return Push(std::move(result));
    case 0x88:
    case 0x89:  // NEWTRUE, NEWFALSE
      result.kind = Kind::kBool;
      result.integer = operation == 0x88 ? 1 : 0;
      return Push(std::move(result));
    case 'K':
    case 'M': {  // BININT1, BININT2
      DISTILL_ASSIGN_OR_RETURN(const uint64_t number, TakeNumber(operation == 'K' ? 1 : 2));
      return PushInteger(static_cast<int64_t>(number));
    }
    case 'J': {  // BININT
      DISTILL_ASSIGN_OR_RETURN(const uint64_t number, TakeNumber(4));
      return PushInteger(static_cast<int32_t>(static_cast<uint32_t>(number)));
    }
    case 0x8a: {  // LONG1: two's complement of any length.
      DISTILL_ASSIGN_OR_RETURN(const uint64_t size, TakeNumber(1));
      if (size > 8) return Refuse("pickle has an integer of more than 64 bits");
      DISTILL_ASSIGN_OR_RETURN(uint64_t number, TakeNumber(size));
      if (size > 0 && size < 8 && (number >> (8 * size - 1)) != 0) {
        number |= ~uint64_t{0} << (8 * size);
      }
      return PushInteger(static_cast<int64_t>(number));
    }
    case 'G': {  // BINFLOAT: most significant byte first.
      DISTILL_ASSIGN_OR_RETURN(const uint64_t swapped, TakeNumber(8));
      const uint64_t bits = __builtin_bswap64(swapped);
      result.kind = Kind::kNumber;
      std::memcpy(&result.number, &bits, sizeof(bits));
      return Push(std::move(result));
    }
    case 'X':
    case 0x8c:
    case 0x8d: {  // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
      DISTILL_ASSIGN_OR_RETURN(const uint64_t size, TakeNumber(operation == 'X'    ? 4
                                                               : operation == 0x8c ? 1
                                                                                   : 8));
      return PushText(Take(size));
    }
    default:
      return Refuse(absl::StrCat(
          "pickle does what tensors, containers, numbers and texts do not need; operation=0x",
          absl::Hex(operation, absl::kZeroPad2)));
  }
}

absl::Status Machine::StepContainer(unsigned char operation) {
  PickleValue result;
  switch (operation) {
    case '(':  // MARK
      return PushIndex(kMark);
    case '}':
    case ']':  // EMPTY_DICT, EMPTY_LIST
      result.kind = operation == '}' ? Kind::kDict : Kind::kList;
      return Push(std::move(result));
    case ')':  // EMPTY_TUPLE
      return PushTuple({});
    case 't': {  // TUPLE
      DISTILL_ASSIGN_OR_RETURN(std::vector<uint32_t> items, PopToMark());
      return PushTuple(std::move(items));
    }
    case 0x85:
    case 0x86:
    case 0x87:  // TUPLE1, TUPLE2, TUPLE3
      return PushTupleOf(operation - 0x84U);
    case 's': {  // SETITEM
      DISTILL_ASSIGN_OR_RETURN(const uint32_t item, Pop());
      DISTILL_ASSIGN_OR_RETURN(const uint32_t key, Pop());
      return Extend(Kind::kDict, {key, item});
    }
    case 'a': {  // APPEND
      DISTILL_ASSIGN_OR_RETURN(const uint32_t item, Pop());
      return Extend(Kind::kList, {item});
    }
    case 'u':
    case 'e': {  // SETITEMS, APPENDS
      DISTILL_ASSIGN_OR_RETURN(const std::vector<uint32_t> items, PopToMark());
      return Extend(operation == 'u' ? Kind::kDict : Kind::kList, items);
    }
    default:  // POP
      return Pop().status();
  }
}

absl::Status Machine::StepMemo(unsigned char operation) {
  const bool is_put = operation == 'q' || operation == 'r' || operation == 0x94;
  uint64_t place = memo_.size();  // MEMOIZE
  if (operation != 0x94) {
    DISTILL_ASSIGN_OR_RETURN(place, TakeNumber(operation == 'q' || operation == 'h' ? 1 : 4));
  }
  if (!is_put) {
    const auto found = memo_.find(place);
    if (found == memo_.end()) return Refuse("pickle takes what is not there");
    return PushIndex(found->second);
  }
  if (stack_.empty() || stack_.back() == kMark) return Refuse("pickle takes what is not there");
  if (memo_.size() == kMaxPickleValues) return Refuse("pickle has too many values");
  memo_[place] = stack_.back();
  return absl::OkStatus();
}

// ("storage", class, name, device, number of elements)
absl::Status Machine::LoadStorage() {
  DISTILL_ASSIGN_OR_RETURN(const uint32_t index, Pop());
  const PickleValue& id = value(index);
  if (id.kind != Kind::kTuple || id.items.size() != 5 || value(id.items[0]).text != "storage" ||
      value(id.items[1]).kind != Kind::kGlobal || value(id.items[2]).kind != Kind::kText ||
      value(id.items[4]).kind != Kind::kInteger) {
    return Refuse("a storage is not described as PyTorch does");
  }
  const StorageClass* const known = FindStorageClass(value(id.items[1]).text);
  if (known == nullptr) return Refuse("a storage is not described as PyTorch does");
  PickleTensor storage;
  storage.dtype = known->dtype;
  storage.storage = value(id.items[2]).text;
  storage.storage_elements = value(id.items[4]).integer;
  PickleValue result;
  result.kind = Kind::kStorage;
  result.tensor = static_cast<uint32_t>(pickle_.tensors.size());
  pickle_.tensors.push_back(std::move(storage));
  return Push(std::move(result));
}

absl::Status Machine::Reduce() {
  DISTILL_ASSIGN_OR_RETURN(const uint32_t tuple, Pop());
  DISTILL_ASSIGN_OR_RETURN(const uint32_t function, Pop());
  if (value(function).kind != Kind::kGlobal || value(tuple).kind != Kind::kTuple) {
    return Refuse("pickle calls what is no function");
  }
  const std::vector<uint32_t>& arguments = value(tuple).items;
  const absl::string_view name = value(function).text;
  if (name == kOrderedDict && arguments.empty()) {
    PickleValue dictionary;
    dictionary.kind = Kind::kDict;
    return Push(std::move(dictionary));
  }
  if (name == kRebuildTensor) return RebuildTensor(arguments);
  if (name == kRebuildParameter && !arguments.empty() &&
      value(arguments[0]).kind == Kind::kTensor) {
    return PushIndex(arguments[0]);
  }
  return Refuse(absl::StrCat("pickle calls ", name, " with other arguments than PyTorch does"));
}

// (storage, offset, shape, strides, requires_grad, hooks)
absl::Status Machine::RebuildTensor(const std::vector<uint32_t>& arguments) {
  if (arguments.size() < 6 || value(arguments[0]).kind != Kind::kStorage ||
      value(arguments[1]).kind != Kind::kInteger) {
    return Refuse("a tensor is not described as PyTorch does");
  }
  PickleTensor tensor = pickle_.tensors[value(arguments[0]).tensor];
  tensor.offset = value(arguments[1]).integer;
  DISTILL_ASSIGN_OR_RETURN(tensor.shape, Integers(arguments[2]));
  DISTILL_ASSIGN_OR_RETURN(tensor.strides, Integers(arguments[3]));
  if (tensor.shape.size() != tensor.strides.size()) {
    return Refuse("a tensor has not as many strides as dimensions");
  }
  DISTILL_RETURN_IF_ERROR(CheckTensor(tensor));
  PickleValue result;
  result.kind = Kind::kTensor;
  result.tensor = static_cast<uint32_t>(pickle_.tensors.size());
  pickle_.tensors.push_back(std::move(tensor));
  return Push(std::move(result));
}

// An ordered dictionary of weights has an attribute with the versions of its modules, which no one
// needs; nothing else that is read here has attributes.
absl::Status Machine::Build() {
  DISTILL_ASSIGN_OR_RETURN(const uint32_t state, Pop());
  if (value(state).kind != Kind::kDict || stack_.empty() || stack_.back() == kMark ||
      value(stack_.back()).kind != Kind::kDict) {
    return Refuse("pickle sets attributes of what has none");
  }
  return absl::OkStatus();
}

// Functions and storages are no values by themselves.
absl::Status Machine::CheckNoParts() {
  for (const PickleValue& each : pickle_.values) {
    if (each.kind != Kind::kDict && each.kind != Kind::kList) continue;
    for (const uint32_t item : each.items) {
      const Kind kind = value(item).kind;
      if (kind == Kind::kGlobal) return RefuseGlobal(value(item).text);
      if (kind == Kind::kStorage) return Refuse("pickle holds a storage outside any tensor");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Pickle> ReadPickle(absl::string_view bytes) {
  if (bytes.size() > kMaxPickleBytes) {
    return Refuse(absl::StrCat("pickle is unreasonably large; bytes=", bytes.size(),
                               " max_bytes=", kMaxPickleBytes));
  }
  return Machine(bytes).Run();
}

absl::string_view PickleKindName(PickleValue::Kind kind) {
  switch (kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "bool";
    case Kind::kInteger:
      return "int";
    case Kind::kNumber:
      return "float";
    case Kind::kText:
      return "str";
    case Kind::kTuple:
      return "tuple";
    case Kind::kList:
      return "list";
    case Kind::kDict:
      return "dict";
    case Kind::kTensor:
      return "tensor";
    case Kind::kGlobal:
    case Kind::kStorage:
      break;
  }
  return "object";
}

}  // namespace distill::storage
