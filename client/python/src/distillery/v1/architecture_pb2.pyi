from distillery.v1 import model_pb2 as _model_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ArchitectureDescription(_message.Message):
    __slots__ = ["channels", "classes", "format", "image_size", "meta", "module_index", "modules", "nac", "patch_size", "stitch_width", "vit", "vmoe"]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    MODULE_INDEX_FIELD_NUMBER: _ClassVar[int]
    NAC_FIELD_NUMBER: _ClassVar[int]
    PATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    STITCH_WIDTH_FIELD_NUMBER: _ClassVar[int]
    VIT_FIELD_NUMBER: _ClassVar[int]
    VMOE_FIELD_NUMBER: _ClassVar[int]
    channels: int
    classes: int
    format: str
    image_size: int
    meta: _model_pb2.VitSpec
    module_index: int
    modules: int
    nac: _model_pb2.NacSpec
    patch_size: int
    stitch_width: int
    vit: _model_pb2.VitSpec
    vmoe: _model_pb2.VmoeSpec
    def __init__(self, format: _Optional[str] = ..., image_size: _Optional[int] = ..., channels: _Optional[int] = ..., patch_size: _Optional[int] = ..., classes: _Optional[int] = ..., modules: _Optional[int] = ..., vit: _Optional[_Union[_model_pb2.VitSpec, _Mapping]] = ..., vmoe: _Optional[_Union[_model_pb2.VmoeSpec, _Mapping]] = ..., nac: _Optional[_Union[_model_pb2.NacSpec, _Mapping]] = ..., module_index: _Optional[int] = ..., stitch_width: _Optional[int] = ..., meta: _Optional[_Union[_model_pb2.VitSpec, _Mapping]] = ...) -> None: ...
