"""ECG recordings: one MATLAB file per fragment of signal, read to samples in mV, recordings and beats."""
