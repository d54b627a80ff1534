"""Writes the files of this folder with NumPy and SciPy (made with 1.24 and 1.10).

All of them hold one matrix of 6 x 9, apart from those named symmetric, skew
and pattern. Elements are exact in float16.
"""
import numpy as np
import scipy.io
import scipy.sparse as sp

dense = np.zeros((6, 9))
for k in range(11):
    dense[k * 5 % 6, k * 7 % 9] = (k - 4) / 4
dense[2, 2] = 7.5
square = dense[:, :6]

sp.save_npz("csr", sp.csr_matrix(dense.astype(np.float32)))
sp.save_npz("csr_stored", sp.csr_matrix(dense.astype(np.float16).astype(np.float64)), compressed=False)
sp.save_npz("csc", sp.csc_matrix(dense))
sp.save_npz("csc_array", sp.csc_array(dense))
sp.save_npz("bsr", sp.bsr_matrix(dense, blocksize=(2, 3)))
sp.save_npz("dia", sp.dia_matrix(dense))
coo = sp.coo_matrix(dense)
order = np.argsort(np.sin(np.arange(2 * coo.nnz)))  # each element in two halves, shuffled
twice = [np.concatenate([a, a])[order] for a in (coo.data / 2, coo.row, coo.col)]
sp.save_npz("coo_duplicates", sp.coo_matrix((twice[0], (twice[1].astype(np.int64), twice[2].astype(np.int64))), dense.shape))
csr = sp.csr_matrix(dense)
reverse = np.concatenate([np.arange(a, b)[::-1] for a, b in zip(csr.indptr, csr.indptr[1:])])
unsorted = sp.csr_matrix((csr.data[reverse], csr.indices[reverse], csr.indptr), csr.shape)
sp.save_npz("csr_unsorted", unsorted)
np.savez("dense", dense)
np.save("dense_f2", dense.astype(np.float16))
np.save("dense_fortran_f8", np.asfortranarray(dense))
np.save("dense_big_endian_f4", dense.astype(">f4"))
np.save("int8", (dense * 4).astype(np.int8))

scipy.io.mmwrite("coordinate.mtx", coo, comment="two\n lines")
scipy.io.mmwrite("array.mtx", dense)
scipy.io.mmwrite("integer.mtx", (dense * 4).astype(int))
scipy.io.mmwrite("pattern.mtx", coo, field="pattern")
scipy.io.mmwrite("symmetric.mtx", sp.coo_matrix(square + square.T))
scipy.io.mmwrite("symmetric_array.mtx", square + square.T)
scipy.io.mmwrite("skew.mtx", sp.coo_matrix(square - square.T))
scipy.io.mmwrite("skew_array.mtx", square - square.T)
