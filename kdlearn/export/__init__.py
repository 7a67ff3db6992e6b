"""A fitted model taken out of Python: a file, ONNX, int8, C; and what each of two models costs.

export.to_onnx(student, "student.onnx")
export.to_c(student, "student.c", int8=True)
print(export.format_report(export.report(student, teacher, x_test, y_test)))
"""

from kdlearn.export.c_file import to_c
from kdlearn.export.check import ExportError
from kdlearn.export.converter import register_skl2onnx
from kdlearn.export.costs import format_report, report
from kdlearn.export.onnx_file import to_onnx
from kdlearn.export.onnx_int8 import quantize_onnx
from kdlearn.export.toolchain import measure_c

__all__ = [
    "ExportError",
    "format_report",
    "measure_c",
    "quantize_onnx",
    "register_skl2onnx",
    "report",
    "to_c",
    "to_onnx",
]
